package parley_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A consumer of the Python library on the same queue routes by the exchange of a message, and drops copies that return through the
// default exchange.
func TestRetriesOfAQueueWithOtherConsumersStayInTheProcess(t *testing.T) {
	var mu sync.Mutex
	var stolen []string
	cfg := &parley.ConsumerConfig{KillSwitch: parley.KillSwitchConfig{Share: 2}}
	onStage(t, cfg, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if time.Since(s.start) < 2*time.Minute {
				return errors.New("not yet")
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		sub, err := s.broker.Subscribe(s.ctx, "q", parley.SubscribeOptions{Prefetch: 10})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		go func() {
			for {
				d, err := sub.Next(s.ctx)
				if err != nil {
					return
				}
				mu.Lock()
				if d.Exchange == "" {
					stolen = append(stolen, string(d.Body))
				} else {
					s.note(d)
				}
				mu.Unlock()
				_ = d.Settle(parley.SettleAck)
			}
		}()
		s.wait(10 * time.Second)
		for n := range 20 {
			s.publish(text(fmt.Sprint(n)))
		}
		s.wait(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(stolen) != 0 {
			t.Errorf("the other consumer got %v from a retry queue", stolen)
		}
		if n := len(s.notes()); n != 20 {
			t.Errorf("%d of 20 messages were handled by one of the two consumers", n)
		}
		if n, err := parley.ForeignConsumers(s.ctx, s.broker, "q"); err != nil || n != 1 {
			t.Errorf("%d other consumers counted: %v", n, err)
		}
	})
}
