package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

func TestReadyWaitsWhileTheBrokerCannotBeReached(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{DialTimeout: 300 * time.Millisecond})
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := b.Ready(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.Addr()) {
		t.Errorf("ready in a black hole: %v, want the context's error and the address", err)
	}
	if outcomes := b.Publish(ctx, messages(exchange, 2)); len(outcomes) != 2 || !errors.Is(outcomes[1], parley.ErrUnknown) {
		t.Errorf("publish with a context that has ended: %v, want ErrUnknown", outcomes)
	}
	p.Heal()
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Errorf("after the black hole: %v", err)
	}
	if p.Count(faultproxy.Held) == 0 {
		t.Error("the black hole had no effect")
	}
}

func TestCloseWhilePublishingLeavesNoMessageWithoutOutcome(t *testing.T) {
	for range 5 {
		b, exchange, queue := open(t, rabbitmq.Config{Window: 100})
		var wg sync.WaitGroup
		var mu sync.Mutex
		sure, started := 0, make(chan struct{}, 8)
		for range 8 {
			wg.Go(func() {
				for first := true; ; first = false {
					outcomes := b.Publish(t.Context(), messages(exchange, 20))
					for i := range 20 {
						if outcomes == nil || outcomes[i] == nil {
							mu.Lock()
							sure++
							mu.Unlock()
						} else if !errors.Is(outcomes[i], parley.ErrUnknown) {
							t.Errorf("outcome %v, want nil or ErrUnknown", outcomes[i])
						}
					}
					if first {
						started <- struct{}{}
					}
					if outcomes != nil {
						return
					}
				}
			})
		}
		for range 8 {
			<-started
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		look, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t)})
		if err != nil {
			t.Fatal(err)
		}
		if n, _, err := look.QueueLen(t.Context(), queue); n != sure || err != nil {
			t.Errorf("%d messages were confirmed, %d are in the queue (%v): Close must wait for messages in flight", sure, n, err)
		}
		_ = look.Close(t.Context())
	}
}

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
	if all := time.Since(begin); testenv.Late(t, all, min(first+time.Second, 4*time.Second)) {
		t.Errorf("closing took %v, of which %v for the subscription: want no further waits", all, first)
	}
	if p.Count(faultproxy.Held) == 0 {
		t.Error("the black hole had no effect")
	}
}
