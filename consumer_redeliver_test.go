package parley_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// noteByKey registers a handler of all keys that takes some time, and returns what it has handled, by key.
func noteByKey(s *stage, took time.Duration) (handled func(key string) []string) {
	var bodies []string // guarded by s.mu
	s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
		time.Sleep(took)
		s.mu.Lock()
		defer s.mu.Unlock()
		bodies = append(bodies, string(d.Body))
		return nil
	}, parley.Ordered(nil))
	return func(key string) (of []string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, b := range bodies {
			if strings.HasPrefix(b, key) {
				of = append(of, b)
			}
		}
		return of
	}
}

func TestOrderedKeysKeepTheirOrderWhileTheBrokerReturnsDeliveriesLateAndShuffled(t *testing.T) {
	const keys, rounds = "abcde", 12
	for round, late := range []time.Duration{0, time.Millisecond, time.Second, 20 * time.Second, 59 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			var handled func(key string) []string
			onStage(t, &parley.ConsumerConfig{Concurrency: 4, Prefetch: 12}, func(s *stage) {
				handled = noteByKey(s, 70*time.Millisecond)
			}, func(s *stage) {
				for i := range rounds {
					for _, key := range keys {
						for n := range 5 {
							s.publish(keyed(string(key), fmt.Sprintf("%c%03d", key, 5*i+n)))
						}
					}
					s.wait(time.Duration(100+37*i+round) * time.Millisecond)
					if i%4 == 1 {
						s.broker.DisconnectLate(late)
					}
				}
				s.wait(5 * time.Minute)
			})
			for _, key := range keys {
				got := handled(string(key))
				if !slices.IsSorted(got) {
					t.Errorf("a message of key %c was handled after a later one: %v", key, got)
				}
				slices.Sort(got)
				if n := len(slices.Compact(got)); n != 5*rounds {
					t.Errorf("%d different messages of key %c were handled, want %d", n, key, 5*rounds)
				}
			}
		})
	}
}

func TestAKeyWaitsAtMostAMinuteForDeliveriesThatDoNotReturn(t *testing.T) {
	var log bytes.Buffer
	var handled func(key string) []string
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		handled = noteByKey(s, 10*time.Second)
		s.begin(&parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s.publish(keyed("a", "a1"))
		s.wait(time.Second)
		s.broker.DisconnectLate(5 * time.Minute)
		s.publish(keyed("a", "a2"), keyed("b", "b1"))
		s.wait(30 * time.Second) // a1's handler has ended, its ack came too late
		if got := handled("b"); !slices.Equal(got, []string{"b1"}) {
			t.Errorf("handled %v of another key, want b1: it need not wait", got)
		}
		s.wait(30 * time.Second)
		if got := handled("a"); !slices.Equal(got, []string{"a1"}) {
			t.Errorf("handled %v within a minute, want only a1", got)
		}
		if n := s.consumer.InHand(); n != 1 {
			t.Errorf("%d deliveries are in hand, want the one that is held", n)
		}
		s.wait(30 * time.Second)
		if got := handled("a"); !slices.Equal(got, []string{"a1", "a2"}) {
			t.Errorf("handled %v after a minute, want a1 and a2", got)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, text := range []string{"waiting for redeliveries", "were not redelivered here", "missing=1"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, log.String())
		}
	}
}

func TestHeldDeliveriesDoNotUseUpThePrefetch(t *testing.T) {
	var handled func(key string) []string
	onStage(t, &parley.ConsumerConfig{Prefetch: 4}, func(s *stage) { handled = noteByKey(s, time.Second) }, func(s *stage) {
		s.publish(keyed("a", "a0"))
		s.wait(500 * time.Millisecond)
		s.broker.DisconnectLate(50 * time.Second)
		for i := range 9 {
			s.publish(keyed("a", fmt.Sprint("a", i+1)))
		}
		s.publish(keyed("b", "b1"))
		s.wait(time.Second)
		if err := s.consumer.Health(); err == nil || !strings.Contains(err.Error(), "4 deliveries wait for earlier deliveries") {
			t.Errorf("health %v, want an error that says why other keys wait", err)
		}
		s.wait(12 * time.Second)
		if got := handled("b"); len(got) != 1 {
			t.Errorf("handled %v of the other key after 13s, want b1: held deliveries use up the prefetch", got)
		}
		s.wait(time.Minute)
		if got := handled("a"); !slices.IsSorted(got) || len(slices.Compact(got)) != 10 {
			t.Errorf("handled %v of the held key, want a0 to a9 in order", got)
		}
		if err := s.consumer.Health(); err != nil {
			t.Errorf("health after all were handled: %v", err)
		}
	})
}

// plainSubscriptions is a broker whose subscriptions cannot raise their prefetch.
type plainSubscriptions struct{ *memory.Broker }

func (b plainSubscriptions) Subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	s, err := b.Broker.Subscribe(ctx, queue, o)
	return struct{ parley.Subscription }{s}, err
}

func TestDeliveriesThatUseUpAPrefetchThatCannotBeRaisedReturnToTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		handled := noteByKey(s, time.Second)
		c, err := parley.NewConsumer(plainSubscriptions{s.broker}, s.router, &parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Prefetch: 1, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.ctx = ctx
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		s.publish(keyed("a", "a1"))
		s.wait(500 * time.Millisecond)
		s.broker.DisconnectLate(10 * time.Second)
		s.publish(keyed("a", "a2"), keyed("a", "a3"))
		s.wait(2 * time.Minute)
		if got := handled("a"); !slices.IsSorted(got) || len(slices.Compact(got)) != 3 {
			t.Errorf("handled %v, want a1 to a3 in order", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
