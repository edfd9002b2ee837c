package testenv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a port of 127.0.0.1 on which nothing listens, for a server that is started next. It lies below the ports that
// systems give to connections and to listeners on port 0, so none of these takes it before the server listens.
func FreePort() (int, error) {
	const first, ports, attempts = 15000, 17000, 100
	var err error
	for range attempts {
		port := first + rand.IntN(ports)
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("testenv: no free port after %d attempts: %w", attempts, err)
}
