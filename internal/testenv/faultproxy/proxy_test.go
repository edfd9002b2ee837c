package faultproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// echo is a server that sends a greeting, if there is one, and then returns what it receives.
func echo(t *testing.T, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, greeting)
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func dial(t *testing.T, p *faultproxy.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("received %q (%v), want %q", got, err, want)
	}
}

// broken fails the test unless the connection ends.
func broken(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	if ne, ok := errors.AsType[net.Error](err); err == nil || ok && ne.Timeout() {
		t.Fatalf("read returned %v, want a broken connection", err)
	}
}

func TestBytesPassBothWaysWhoeverSpeaksFirst(t *testing.T) {
	p := faultproxy.Start(t, echo(t, "hello"))
	conn := dial(t, p)
	hear(t, conn, "hello")
	say(t, conn, "Apple") // begins like AMQP
	hear(t, conn, "Apple")
	big := bytes.Repeat([]byte("x"), 1<<20)
	go func() { _, _ = conn.Write(big) }()
	hear(t, conn, string(big))
	if n := p.Count(faultproxy.Connected); n != 1 {
		t.Errorf("%d connections counted, want 1", n)
	}
}

func TestCutResetsWhatIsOpenAndLetsNewOnesIn(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	old := dial(t, p)
	say(t, old, "a")
	hear(t, old, "a")
	if n := p.Cut(); n != 1 || p.Count(faultproxy.Cuts) != 1 {
		t.Errorf("%d connections cut, %d counted, want 1", n, p.Count(faultproxy.Cuts))
	}
	broken(t, old)
	fresh := dial(t, p)
	say(t, fresh, "b")
	hear(t, fresh, "b")
}

func TestRefuseEndsNewConnectionsUntilHeal(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	old := dial(t, p)
	say(t, old, "a")
	hear(t, old, "a")
	p.Refuse()
	if refused, err := net.Dial("tcp", p.Addr()); err == nil { // else it was reset before Dial returned
		defer refused.Close()
		if err := refused.SetDeadline(time.Now().Add(patience)); err == nil {
			broken(t, refused)
		}
	}
	say(t, old, "b")
	hear(t, old, "b")
	p.Heal()
	fresh := dial(t, p)
	say(t, fresh, "c")
	hear(t, fresh, "c")
	if n := p.Count(faultproxy.Refused); n != 1 {
		t.Errorf("%d connections refused, want 1", n)
	}
}

func TestBlackholeHoldsEverythingUntilHeal(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	old := dial(t, p)
	say(t, old, "a")
	hear(t, old, "a")
	p.Blackhole()
	fresh := dial(t, p)
	say(t, old, "b")
	say(t, fresh, "c")
	if err := old.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := old.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("%d bytes passed a black hole", n)
	}
	if err := old.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	hear(t, old, "b")
	hear(t, fresh, "c")
	if p.Count(faultproxy.Held) < 2 {
		t.Errorf("%d held, want one connection and one piece of data", p.Count(faultproxy.Held))
	}
}

func TestLatencyDelaysEachDirection(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	conn := dial(t, p)
	p.Latency(50 * time.Millisecond)
	start := time.Now()
	say(t, conn, "a")
	hear(t, conn, "a")
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("there and back took %v, want at least 100ms", took)
	}
}

func TestCutAfterCountsBytes(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	conn := dial(t, p)
	p.CutAfter(5)
	say(t, conn, "12345")
	hear(t, conn, "12345")
	say(t, conn, "6")
	broken(t, conn)
	fresh := dial(t, p)
	say(t, fresh, strings.Repeat("x", 100))
	hear(t, fresh, strings.Repeat("x", 100))
}

func TestCloseEndsAHeldConnection(t *testing.T) {
	p, err := faultproxy.Listen(echo(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	p.Blackhole()
	conn := dial(t, p)
	say(t, conn, "a")
	p.Close()
	broken(t, conn)
}

// channel returns a channel in confirm mode through a proxy to the real server, and a queue.
func channel(t *testing.T) (p *faultproxy.Proxy, ch *amqp.Channel, queue string) {
	t.Helper()
	uri, err := amqp.ParseURI(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	p = faultproxy.Start(t, net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
	uri.Host, uri.Port = "127.0.0.1", mustPort(t, p.Addr())
	conn, err := amqp.Dial(uri.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	if ch, err = conn.Channel(); err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare(testenv.Unique(t, "faultproxy"), false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, ch, q.Name
}

func mustPort(t *testing.T, addr string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

func publish(t *testing.T, ch *amqp.Channel, queue, body string) *amqp.DeferredConfirmation {
	t.Helper()
	c, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("timed out after %v: %s", patience, what)
	}
}

func TestASwallowedConfirmNeverArrives(t *testing.T) {
	p, ch, queue := channel(t)
	p.SwallowConfirms(1)
	first := publish(t, ch, queue, "1")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); p.Count(faultproxy.Swallowed) == 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("no confirm was swallowed")
		}
	}
	wait(t, publish(t, ch, queue, "2").Done(), "the second confirm")
	if first.Acked() {
		t.Error("the swallowed confirm has arrived")
	}
	if n := p.Sent(faultproxy.BasicPublish); n != 2 {
		t.Errorf("%d publications seen, want 2", n)
	}
}

func TestADelayedReturnComesBeforeItsConfirm(t *testing.T) {
	p, ch, queue := channel(t)
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	p.DelayReturn(100 * time.Millisecond)
	start := time.Now()
	wait(t, publish(t, ch, queue+"-missing", "1").Done(), "the confirm")
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("the confirm came after %v, want it after the delayed return", took)
	}
	if len(returns) != 1 || p.Count(faultproxy.Delayed) != 1 {
		t.Errorf("%d returns, %d delayed, want 1 before the confirm", len(returns), p.Count(faultproxy.Delayed))
	}
}

func TestCutInBodyLeavesNoMessage(t *testing.T) {
	p, ch, queue := channel(t)
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	p.CutInBody()
	c := publish(t, ch, queue, strings.Repeat("x", 10_000))
	wait(t, c.Done(), "the end of the channel")
	if c.Acked() {
		t.Error("half a message was confirmed")
	}
	if e := <-closed; e == nil || p.Count(faultproxy.Cuts) != 1 {
		t.Errorf("closed by %v after %d cuts, want a broken connection", e, p.Count(faultproxy.Cuts))
	}
}

func TestBlockAndUnblockReachTheClient(t *testing.T) {
	p, ch, queue := channel(t)
	uri, err := amqp.ParseURI(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	uri.Host, uri.Port = "127.0.0.1", mustPort(t, p.Addr())
	conn, err := amqp.Dial(uri.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 2))
	if n := p.Block("alarm"); n != 2 {
		t.Errorf("%d clients were notified, want 2", n)
	}
	if b := <-blocked; !b.Active || b.Reason != "alarm" {
		t.Errorf("blocked: %+v", b)
	}
	p.Unblock()
	if b := <-blocked; b.Active {
		t.Errorf("unblocked: %+v", b)
	}
	wait(t, publish(t, ch, queue, "1").Done(), "the confirm after Unblock")
}
