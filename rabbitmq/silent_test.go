package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// Waits for the subscription, then for confirms and then for each connection would together exceed the
// supervisor's kill timeout.
func TestAnUnresponsiveBrokerDelaysClosingOnlyOnce(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{})
	s := subscribe(t, b, queue, 10)
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.Blackhole()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if outcomes := b.Publish(short, messages(exchange, 1)); outcomes == nil {
		t.Error("a message was confirmed in spite of the black hole")
	}
	begin := time.Now()
	if err := s.Close(); err == nil {
		t.Error("closing the subscription returned nil in spite of the black hole")
	}
	first := time.Since(begin)
	_ = b.Close(t.Context()) // it may return an error about a connection
	if all := time.Since(begin); all > first+time.Second || all > 4*time.Second {
		t.Errorf("closing took %v, of which %v for the subscription: want no further waits", all, first)
	}
	if p.Count(faultproxy.Held) == 0 {
		t.Error("the black hole had no effect")
	}
}
