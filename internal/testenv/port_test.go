package testenv_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

func TestAFreePortIsFreeAndBelowTheEphemeralPorts(t *testing.T) {
	for range 20 {
		port, err := testenv.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if port >= 32768 {
			t.Errorf("port %d may be given to a connection before a server listens on it", port)
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("port %d is in use: %v", port, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
