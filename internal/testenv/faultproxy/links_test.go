package faultproxy_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// silent fails the test if data arrives within a short time.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("%d bytes passed a black hole", n)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// recording is a server that records what it receives, and answers each byte with a dot.
func recording(t *testing.T) (address string, heard chan byte) {
	t.Helper()
	heard = make(chan byte, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for b := make([]byte, 1); ; {
			if _, err := conn.Read(b); err != nil {
				return
			}
			heard <- b[0]
			if _, err := conn.Write([]byte(".")); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), heard
}

func wantHeard(t *testing.T, heard <-chan byte, want byte) {
	t.Helper()
	select {
	case b := <-heard:
		if b != want {
			t.Fatalf("the server received %q, want %q", b, want)
		}
	case <-time.After(patience):
		t.Fatalf("the server did not receive %q", want)
	}
}

func TestABlackHoleToTheClientKeepsTheAnswersOnly(t *testing.T) {
	address, heard := recording(t)
	p := faultproxy.Start(t, address)
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, ".")
	wantHeard(t, heard, 'a')
	p.BlackholeToClient()
	say(t, conn, "b")
	wantHeard(t, heard, 'b')
	silent(t, conn)
	if n := p.Count(faultproxy.Held); n != 1 {
		t.Errorf("%d pieces held, want the answer", n)
	}
	p.Heal()
	hear(t, conn, ".")
}

func TestABlackHoleToTheServerKeepsTheQuestions(t *testing.T) {
	address, heard := recording(t)
	p := faultproxy.Start(t, address)
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, ".")
	wantHeard(t, heard, 'a')
	p.BlackholeToServer()
	say(t, conn, "b")
	silent(t, conn)
	if len(heard) != 0 || p.Count(faultproxy.Held) != 1 {
		t.Errorf("the server received %d bytes and %d pieces were held, want 0 bytes and 1 piece", len(heard), p.Count(faultproxy.Held))
	}
	p.Heal()
	wantHeard(t, heard, 'b')
	hear(t, conn, ".")
}

func TestHangUpEndsConnectionsInOrderAndLetsNewOnesIn(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	for range 20 { // the connection must end cleanly whatever data is in flight
		old := dial(t, p)
		say(t, old, "a")
		hear(t, old, "a")
		say(t, old, strings.Repeat("x", 1000))
		if n := p.HangUp(); n != 1 {
			t.Errorf("%d connections hung up, want 1", n)
		}
		if _, err := io.Copy(io.Discard, old); err != nil {
			t.Fatalf("the connection ended with %v, want io.EOF", err)
		}
		_ = old.Close()
	}
	if hung, cut := p.Count(faultproxy.HungUp), p.Count(faultproxy.Cuts); hung != 20 || cut != 0 {
		t.Errorf("%d hung up and %d cut, want 20 and none", hung, cut)
	}
	fresh := dial(t, p)
	say(t, fresh, "b")
	hear(t, fresh, "b")
}

func TestCutIsNoCleanEnd(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, "a")
	p.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a cut connection ended with %v, want a reset", err)
	}
}

func TestThrottleBoundsTheRateUntilHeal(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, "a")
	const rate = 20_000
	p.Throttle(rate)
	data := strings.Repeat("x", rate/2)
	start := time.Now()
	say(t, conn, data)
	hear(t, conn, data)
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("%d bytes there and back took %v at %d bytes per second", len(data), took, rate)
	}
	if n := p.Count(faultproxy.Throttled); n < 10 {
		t.Errorf("%d pieces have waited, want at least 10 in each direction", n)
	}
	p.Heal()
	start = time.Now()
	data = strings.Repeat("y", 10*rate)
	go func() { _, _ = io.WriteString(conn, data) }()
	hear(t, conn, data)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("after Heal %d bytes took %v", len(data), took)
	}
}

func TestCloseEndsWhatIsThrottledOrHungUp(t *testing.T) {
	p, err := faultproxy.Listen(echo(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	gone := dial(t, p)
	say(t, gone, "a")
	hear(t, gone, "a")
	p.HangUp() // clients without a connection are not counted
	p.Throttle(10)
	slow := dial(t, p)
	say(t, slow, strings.Repeat("x", 1000))
	p.Close()
	_, _ = io.Copy(io.Discard, slow) // what came through before Close may still be read
	broken(t, slow)
}

func TestCutClientsLeavesTheServersSideOpenForAWhile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := faultproxy.Start(t, l.Addr().String())
	client := dial(t, p)
	say(t, client, "a")
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	hear(t, server, "a")
	const late = 400 * time.Millisecond
	start := time.Now()
	if n := p.CutClients(late); n != 1 {
		t.Errorf("%d connections were cut, want 1", n)
	}
	broken(t, client)
	say(t, server, "b") // goes nowhere
	broken(t, server)
	if took := time.Since(start); took < late {
		t.Errorf("the server's side ended after %v, want at least %v", took, late)
	}
	if n := p.CutClients(late); n != 0 {
		t.Errorf("%d connections were cut again", n)
	}
}
