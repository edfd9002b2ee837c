package command

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// silentServer returns the address of a server that accepts connections and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var held []net.Conn
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for _, c := range held {
			c.Close()
		}
	})
	return l.Addr().String()
}

// Without the timeout these commands would wait for a connection without end.
func TestCommandsGiveUpOnADatabaseThatDoesNotAnswer(t *testing.T) {
	address := silentServer(t)
	for _, url := range []string{"postgres://u@" + address + "/shop?sslmode=disable", "mysql://u@" + address + "/shop"} {
		for _, command := range []string{
			"migrate status", "migrate up", "parked ls", "parked show c1", "parked replay c1", "parked drop c1 --yes", "parked groups", "scheduled ls",
			"scheduled cancel 1", "log", "pauses", "pause relay --for 1m --reason x", "resume relay",
		} {
			args := append(strings.Fields(command), "--timeout", "50ms", "--database-url", url)
			code, out, problems := call(t, args...)
			if code == 0 || !strings.Contains(problems, "gave up after 50ms: database ") {
				t.Errorf("%s on %s: exit code %d, want an error that names the timeout\n%s%s", command, url, code, out, problems)
			}
		}
	}
}
