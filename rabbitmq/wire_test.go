package rabbitmq

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// pipe returns a wire and what arrives at its other end.
func pipe(t *testing.T, timeout time.Duration) (*wire, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return newWire(near, timeout), far
}

func TestACorkedWireSendsInOnePiece(t *testing.T) {
	w, far := pipe(t, time.Second)
	w.cork()
	for range 3 {
		if n, err := w.Write([]byte("abc")); n != 3 || err != nil {
			t.Fatal(n, err)
		}
	}
	arrived := make(chan string, 1)
	go func() {
		buf := make([]byte, 100)
		n, _ := far.Read(buf)
		arrived <- string(buf[:n])
	}()
	w.uncork()
	if got := <-arrived; got != "abcabcabc" {
		t.Errorf("the first piece is %q, want all of it", got)
	}
}

func TestACorkedWireKeepsOrderBeyondItsBuffer(t *testing.T) {
	w, far := pipe(t, 5*time.Second)
	var want bytes.Buffer
	arrived := make(chan []byte, 1)
	go func() {
		got, _ := io.ReadAll(far)
		arrived <- got
	}()
	for i := range 500 {
		if i%100 == 0 {
			w.cork()
		}
		piece := bytes.Repeat([]byte{byte(i)}, i*7%1000)
		want.Write(piece)
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		if i%100 == 70 {
			w.uncork()
		}
	}
	w.uncork()
	_ = w.Close()
	if got := <-arrived; !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes arrived of %d that were sent, or in another order", len(got), want.Len())
	}
}

func TestAWireThatIsStuckBreaksForGood(t *testing.T) {
	w, _ := pipe(t, 20*time.Millisecond)
	if _, err := w.Write([]byte("no reader")); err == nil {
		t.Fatal("a write without a reader has succeeded")
	}
	w.cork()
	if _, err := w.Write([]byte("later")); err == nil {
		t.Error("a write to a broken wire has succeeded")
	}
	if _, err := w.Read(make([]byte, 1)); err == nil {
		t.Error("the reader of a broken wire has not ended")
	}
}

func TestADeadlineHoldsForLaterWrites(t *testing.T) {
	w, _ := pipe(t, time.Minute)
	if err := w.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := w.Write([]byte("no reader")); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("the write ended with %v after %v, want a timeout at the deadline", err, time.Since(start))
	}
}

func TestNoWireStaysCorkedWhenNothingIsInFlight(t *testing.T) {
	b, err := New(&Config{URL: testenv.RabbitMQ(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	for range 20 {
		for _, size := range []int{0, 40_000, 300_000} { // the larger ones do not fit into the buffer
			b.Publish(t.Context(), []parley.Message{{RoutingKey: "no reader", Body: make([]byte, size)}})
		}
		b.mu.Lock()
		led := b.led
		b.mu.Unlock()
		if led != nil {
			<-led
		}
		w := b.pipe.s.wire
		w.mu.Lock()
		if w.corked || len(w.held) > 0 {
			t.Errorf("nothing is in flight, but corked is %v and %d bytes are held", w.corked, len(w.held))
		}
		w.mu.Unlock()
	}
}

func FuzzAddressShowsNoPassword(f *testing.F) {
	for _, s := range []string{"amqp://u:p@h:1/v", "amqps://h", "amqp://u:p@h:x", "amqp://u:p%40@[::1]:5/", "u:p@h", ":1", "amqp://u:p@h/?a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		const canary = "s3cr3tcanary"
		url := strings.ReplaceAll(host, ":p", ":"+canary)
		for _, c := range []Config{{URL: url}, {URLs: []string{"amqp://u:" + canary + "@" + host, url}}, {Host: host, Password: canary}} {
			a, err := c.addresses()
			if err == nil && (len(a) == 0 || a[0].host == "" || a[0].port < 1 || a[0].port > 65535) {
				t.Errorf("%q is parsed as the address %v", host, a)
			}
			if !strings.Contains(host, canary) && strings.Contains(c.String(), canary) && !strings.Contains(hosts(a), canary) {
				t.Errorf("%q prints the password: %s", host, c)
			}
		}
	})
}

func FuzzSizeLimit(f *testing.F) {
	f.Add("PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000")
	f.Fuzz(func(t *testing.T, reason string) {
		if n, err := sizeLimit(reason); err == nil && !strings.Contains(reason, "max size") {
			t.Errorf("%q is parsed as the limit %d", reason, n)
		}
	})
}
