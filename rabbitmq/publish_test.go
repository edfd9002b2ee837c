package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestManyPublishersShareOneChannel(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{Window: 16})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
					t.Errorf("outcomes %v, want nil", outcomes)
				}
			}
		})
	}
	wg.Wait()
	if n, _, _ := b.QueueLen(t.Context(), queue); n != 64*20 {
		t.Errorf("%d messages arrived, want %d", n, 64*20)
	}
}

func TestADeletedQueueMakesMessagesUnroutable(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	done := make(chan struct{})
	var outcomes []error
	go func() {
		defer close(done)
		for len(outcomes) == 0 {
			outcomes = b.Publish(t.Context(), messages(exchange, 200))
		}
	}()
	if err := b.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	<-done
	routed := true
	for i, err := range outcomes {
		if err != nil && !errors.Is(err, parley.ErrUnroutable) || err == nil && !routed {
			t.Fatalf("message %d: %v, want all unroutable from the deletion on", i, err)
		}
		routed = err == nil
	}
}

func TestAMessageToAMissingQueueIsUnroutable(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	outcomes := b.Publish(t.Context(), []parley.Message{{RoutingKey: queue, Body: []byte(`{}`)}, {RoutingKey: queue + ".missing", Body: []byte(`{}`)}})
	if len(outcomes) != 2 || outcomes[0] != nil || !errors.Is(outcomes[1], parley.ErrUnroutable) {
		t.Errorf("outcomes %v, want the second unroutable", outcomes)
	}
}

func TestPublishReturnsWhenItsContextEndsAndLeavesTheMessagesAlone(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{ConfirmTimeout: 2 * time.Second})
	out := messages(exchange, 50)
	if outcomes := b.Publish(t.Context(), out[:1]); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	outcomes := b.Publish(ctx, out[1:])
	for i := range out {
		copy(out[i].Body, "XXXXX") // they belong to the caller again: the race detector checks it
	}
	if len(outcomes) != 49 || !errors.Is(outcomes[0], parley.ErrUnknown) || !errors.Is(outcomes[0], context.DeadlineExceeded) {
		t.Errorf("outcomes %v, want ErrUnknown and the context's error", outcomes)
	}
	p.Heal()
	s := subscribe(t, b, queue, 50)
	defer s.Close()
	for range out {
		if d := next(t, s); strings.Contains(string(d.Body), "X") {
			t.Errorf("the caller's later change was sent: %s", d.Body)
		}
	}
}
