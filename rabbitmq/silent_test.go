package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// A stop that waits for the subscription, then for confirms and then for each connection adds up to more than the
// supervisor's patience.
func TestABrokerThatHangsIsWaitedForOnceWhenAllIsClosed(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{})
	s := subscribe(t, b, queue, 10)
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.Blackhole()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if outcomes := b.Publish(short, messages(exchange, 1)); outcomes == nil {
		t.Error("a message was confirmed through a black hole")
	}
	begin := time.Now()
	if err := s.Close(); err == nil {
		t.Error("the subscription was closed through a black hole")
	}
	first := time.Since(begin)
	_ = b.Close(t.Context()) // it may tell or not that a connection did not end well
	if all := time.Since(begin); all > first+time.Second || all > 4*time.Second {
		t.Errorf("closing took %v, and %v of it for the subscription: want nothing more", all, first)
	}
	if p.Count(faultproxy.Held) == 0 {
		t.Error("nothing met the black hole")
	}
}
