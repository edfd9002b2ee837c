package rabbitmq

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

func TestThePauseIsLongOnlyIfEveryHostRefuses(t *testing.T) {
	no, down := &refusal{text: "refused", kind: "refused"}, errors.New("connection refused")
	for _, c := range []struct {
		failures connectError
		slow     bool
	}{
		{connectError{no}, true},
		{connectError{no, no}, true},
		{connectError{no, down}, false},
		{connectError{down}, false},
	} {
		l := link{failures: 1, failure: c.failures}
		if got := l.pause(); (got >= refusedPause) != c.slow {
			t.Errorf("after %v the pause is %v, want a long one: %v", c.failures, got, c.slow)
		}
	}
}

// A thousand clients lose their broker at once. They must not dial it repeatedly while it starts.
func TestClientsOfAnUnreachableBrokerRetryOnceAtOnceAndThenSlowly(t *testing.T) {
	const clients = 1000
	dials := make([]int, 60) // in each second
	for range clients {
		var at time.Duration
		l := link{failure: errors.New("connection refused")}
		for l.failures = 1; at < time.Minute; l.failures++ {
			pause := l.pause()
			if l.failures == 1 && pause > 150*time.Millisecond {
				t.Fatalf("after one failure the pause is %v, want at most 150 ms", pause)
			}
			if pause > 11*time.Second {
				t.Fatalf("after %d failures the pause is %v, want at most 11 s", l.failures, pause)
			}
			if at += pause; at < time.Minute {
				dials[at/time.Second]++
			}
		}
	}
	for second, n := range dials {
		limit := clients
		if second == 0 {
			limit = 2 * clients
		}
		if n > limit {
			t.Errorf("%d clients dial %d times in second %d, want at most %d", clients, n, second, limit)
		}
		if n == 0 {
			t.Errorf("no client dials in second %d", second)
		}
	}
}

func TestARefusalIsLoggedOnceForEachReason(t *testing.T) {
	var out strings.Builder
	l := link{role: "publish", b: &Broker{cfg: Config{Logger: slog.New(slog.NewTextHandler(&out, nil))}}}
	expired := connectError{&refusal{text: "expired at 1", kind: "expired"}}
	again := connectError{&refusal{text: "expired at 2", kind: "expired"}}
	vhost := connectError{&refusal{text: "no such vhost", kind: "vhost"}}
	l.logFailure(expired, nil)
	l.logFailure(again, expired)
	l.logFailure(again, again)
	l.logFailure(vhost, again)
	l.logFailure(expired, nil) // it has been connected since
	if n := strings.Count(out.String(), "level=ERROR"); n != 3 || strings.Contains(out.String(), "at 2") {
		t.Errorf("%d errors were logged, want one for each new reason:\n%s", n, &out)
	}
}

// Close looks for the connection once. The connection may be opened and not yet stored at that moment.
func TestCloseEndsThoughAConnectionOpensAtThatMoment(t *testing.T) {
	b, err := New(&Config{URL: testenv.RabbitMQ(t), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, n, err := b.publish.dial(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.end() // what Close does before it looks
	if err := b.publish.close(time.Now()); err != nil {
		t.Fatal(err)
	}
	b.publish.dialled(s, n, nil)
	closed := make(chan struct{})
	go func() { b.wg.Wait(); close(closed) }() // what Close does after it
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("Close waits for a connection that was opened at that moment, and that no call closes")
		_ = closeSoon(s.conn)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
