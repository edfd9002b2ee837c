package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestABlockedBrokerIsWaitedFor(t *testing.T) {
	told := make(chan string, 4)
	p, b, exchange, queue := through(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{
		Blocked: func(reason string) { told <- reason }, Unblocked: func() { told <- "" },
	}})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	if p.Block("low on memory") != 1 {
		t.Fatal("no connection received connection.blocked")
	}
	if reason := <-told; reason != "low on memory" || b.State().Blocked != reason {
		t.Errorf("blocked because of %q, state %+v", reason, b.State())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "low on memory") {
		t.Errorf("ready while blocked: %v, want the context's error and the reason", err)
	}
	outcomes := b.Publish(t.Context(), messages(exchange, 2))
	if len(outcomes) != 2 || !errors.Is(outcomes[0], parley.ErrUnknown) || !errors.Is(outcomes[1], parley.ErrUnknown) {
		t.Errorf("publish while blocked: %v, want ErrUnknown at once", outcomes)
	}
	s := subscribe(t, b, queue, 1) // consuming is not blocked
	if err := next(t, s).Settle(parley.SettleAck); err != nil {
		t.Error(err)
	}
	ready := make(chan error, 1)
	go func() { ready <- b.Ready(t.Context()) }()
	p.Unblock()
	if err := <-ready; err != nil || <-told != "" {
		t.Errorf("after unblocking: %v", err)
	}
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Errorf("outcomes after unblocking: %v", outcomes)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := settledLen(t, b, queue, 1); n != 1 { // quorum queues count late
		t.Errorf("%d messages in the queue, want 1: messages were sent while blocked", n)
	}
}

func TestABlockedBrokerCloses(t *testing.T) {
	blocked := make(chan string, 1)
	p, b, exchange, _ := through(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{Blocked: func(r string) { blocked <- r }}})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.Block("alarm")
	<-blocked
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_ = b.Close(ctx) // the broker cannot answer
	if took := time.Since(start); testenv.Late(t, took, 5*time.Second) {
		t.Errorf("Close took %v, want about 200ms", took)
	}
}

// A broker with an alarm does not read from a connection that has published, but sends heartbeats.
func TestABrokerThatSendsButDoesNotReadDelaysClosingAsLongAsTheContext(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{Heartbeat: time.Minute})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.BlackholeToServer()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	closed := make(chan error, 1)
	start := time.Now()
	go func() { closed <- b.Close(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		select {
		case <-closed: // with an error: the broker has not answered
			if took := time.Since(start); testenv.Late(t, took, 4*time.Second) {
				t.Errorf("Close took %v, want about 1s", took)
			}
			return
		case <-tick.C:
			p.Unblock() // a frame, like a heartbeat
		case <-limit:
			p.Cut()
			t.Fatal("Close with a context of 1s has not returned after 30s")
		}
	}
}
