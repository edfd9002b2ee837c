package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A notingBroker records the prefetches of all subscriptions.
type notingBroker struct {
	*memory.Broker

	mu    sync.Mutex // guards the fields below
	asked []int
}

func (b *notingBroker) Subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if queue == "q" {
		b.asked = append(b.asked, o.Prefetch)
	}
	return b.Broker.Subscribe(ctx, queue, o)
}

func (b *notingBroker) prefetches() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func TestPrefetchFollowsTheSizeOfTheMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		var handled atomic.Int64
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error {
			handled.Add(1)
			time.Sleep(time.Millisecond)
			return nil
		})
		b := &notingBroker{Broker: s.broker}
		c, err := parley.NewConsumer(b, s.router, &parley.ConsumerConfig{
			Queue: "q", Topology: topology("q"), Concurrency: 4, Prefetch: 100, MaxBytes: 10_000, Logger: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.ctx = ctx
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		send := func(n, size int) {
			for range n {
				s.publish(text(strings.Repeat("x", size)))
			}
			s.wait(time.Minute)
		}
		send(300, 50)
		if got := b.prefetches(); !slices.Equal(got, []int{48, 100}) {
			t.Errorf("small messages: prefetches %v, want 48 while the size is unknown, then 100", got)
		}
		send(300, 1000)
		got := b.prefetches()
		if last := got[len(got)-1]; last > 10 || last < 5 || len(got) > 12 {
			t.Errorf("messages of a tenth of the budget: prefetches %v, want 5 to 10 at last", got)
		}
		send(2, 50_000)
		send(1000, 50)
		got = b.prefetches()
		if last := got[len(got)-1]; last != 100 || len(got) > 24 {
			t.Errorf("small messages again: prefetches %v, want 100 at last", got)
		}
		if n := handled.Load(); n != 1602 {
			t.Errorf("handled %d, want each of 1602 once", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Deliveries received before the first size is known return to the queue unhandled, at once.
func TestTheFirstLargeMessageLowersThePrefetchBeforeAnyIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, ctx: t.Context(), broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			s.note(d)
			time.Sleep(time.Hour)
			return nil
		})
		if err := s.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			s.publish(text(strings.Repeat("x", 1000)))
		}
		b := &notingBroker{Broker: s.broker}
		c, err := parley.NewConsumer(b, s.router, &parley.ConsumerConfig{
			Queue: "q", Concurrency: 4, Prefetch: 100, MaxBytes: 10_000, ShutdownTimeout: time.Second, Logger: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		if got := b.prefetches(); !slices.Equal(got, []int{48, 7}) {
			t.Errorf("prefetches %v, want 48 and then 7", got)
		}
		if n := len(s.notes()); n != 4 {
			t.Errorf("%d handlers run, want one in each of 4 workers", n)
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("the handlers that sleep for an hour got no cancelled context")
		}
		time.Sleep(time.Hour) // they end
	})
}

func TestAConsumerResubscribesAtOnceAndBacksOffAfterFurtherFailures(t *testing.T) {
	var mu sync.Mutex
	var times [2][]time.Duration // of losses and subscriptions
	subscribed := func() (ups, downs []time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(times[1]), slices.Clone(times[0])
	}
	cfg := &parley.ConsumerConfig{}
	onStage(t, cfg, func(s *stage) {
		cfg.Hooks.Subscribed = func(up bool, _ error) {
			mu.Lock()
			defer mu.Unlock()
			n := 0
			if up {
				n = 1
			}
			times[n] = append(times[n], time.Since(s.start))
		}
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil })
	}, func(s *stage) {
		for n := range 20 { // each session settles a delivery, so none counts as a repeated failure
			s.publish(text(fmt.Sprint(n)))
			s.wait(time.Second)
			s.broker.Disconnect()
			synctest.Wait()
		}
		ups, downs := subscribed()
		if len(ups) != 21 || len(downs) != 20 {
			t.Fatalf("%d subscriptions and %d losses, want 21 and 20", len(ups), len(downs))
		}
		for n, lost := range downs {
			if ups[n+1] != lost {
				t.Errorf("loss %d was at %v, the next subscription at %v: want it at once", n, lost, ups[n+1])
			}
		}
		s.broker.Disconnect() // nothing was settled since
		synctest.Wait()
		ups, _ = subscribed()
		first := len(ups)
		s.broker.Disconnect()
		synctest.Wait()
		if ups, _ = subscribed(); len(ups) != first {
			t.Error("after a session without a settled delivery the consumer resubscribed at once for a second time")
		}
		s.wait(time.Second)
		if ups, _ = subscribed(); len(ups) != first+1 {
			t.Errorf("a second later there are %d subscriptions, want %d", len(ups), first+1)
		}
	})
}

// The broker has ended the subscription while a handler is running: meanwhile the consumer must not be reported as ready.
func TestALostSubscriptionIsReportedWhileHandlersStillRun(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			s.note(d)
			time.Sleep(10 * time.Second)
			return nil
		})
	}, func(s *stage) {
		s.publish(text("slow"))
		synctest.Wait()
		s.broker.Disconnect()
		synctest.Wait()
		if err := s.consumer.Health(); err == nil || s.consumer.Subscribed() {
			t.Errorf("health %v, want that the consumer is not subscribed", err)
		}
		s.wait(11 * time.Second)
		if err := s.consumer.Health(); err != nil {
			t.Errorf("after the handler has returned: %v", err)
		}
		s.wait(11 * time.Second)
		if n := len(s.notes()); n != 2 {
			t.Errorf("handled %d times, want again after the loss", n)
		}
	})
}

func TestAPausedConsumerNoticesTheEndOfAnOutageInAnEighthOfItsLength(t *testing.T) {
	for _, outage := range []time.Duration{4 * time.Second, time.Minute, 20 * time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			var tries atomic.Int64
			onStage(t, nil, func(s *stage) {
				s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error {
					tries.Add(1)
					if time.Since(s.start) < outage {
						return errors.New("database down")
					}
					return nil
				})
			}, func(s *stage) {
				for i := range 1000 {
					s.publish(text(fmt.Sprint(i)))
				}
				s.wait(outage - time.Since(s.start))
				if s.consumer.Health() == nil {
					t.Fatal("the consumer has not paused")
				}
				if n := tries.Load(); n > 500 {
					t.Errorf("%d tries in the outage", n)
				}
				limit := min(max(outage/8, time.Second), 30*time.Second) + time.Second
				s.wait(limit)
				if err := s.consumer.Health(); err != nil {
					t.Errorf("%v after an outage of %v: %v", limit, outage, err)
				}
			})
		})
	}
}

// Without a failure store a message of an ordered route waits in the process for the delays of its plan.
func TestAPausedConsumerOfAnOrderedRouteNoticesTheEndOfAnOutageInAnEighthOfItsLength(t *testing.T) {
	for _, outage := range []time.Duration{4 * time.Second, time.Minute, 5 * time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			var tries atomic.Int64
			onStage(t, nil, func(s *stage) {
				s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error {
					tries.Add(1)
					if time.Since(s.start) < outage {
						return errors.New("database down")
					}
					return nil
				}, parley.Ordered(nil))
			}, func(s *stage) {
				for i := range 1000 {
					s.publish(keyed(fmt.Sprint("key", i), fmt.Sprint(i)))
				}
				s.wait(outage - time.Since(s.start))
				if s.consumer.Health() == nil {
					t.Fatal("the consumer has not paused")
				}
				if n := tries.Load(); n > 100 {
					t.Errorf("%d tries in the outage", n)
				}
				limit := min(max(outage/8, time.Second), 30*time.Second) + time.Second
				s.wait(limit)
				if err := s.consumer.Health(); err != nil {
					t.Errorf("%v after an outage of %v: %v", limit, outage, err)
				}
				if n := len(s.parked()); n != 0 {
					t.Errorf("%d messages are parked", n)
				}
			})
		})
	}
}

// The early attempts of a probe do not use up its plan, and do not prolong it.
func TestAProbeOfAnOrderedRouteIsParkedWhenItsPlanIsOver(t *testing.T) {
	var parked atomic.Int64 // when
	cfg := &parley.ConsumerConfig{KillSwitch: parley.KillSwitchConfig{Minimum: 2}}
	onStage(t, cfg, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if d.Header(parley.HeaderKey) == "poison" {
				return errors.New("no")
			}
			return nil
		}, parley.Ordered(nil))
	}, func(s *stage) {
		s.publish(keyed("poison", "1"))
		for parked.Load() == 0 && time.Since(s.start) < time.Hour {
			s.wait(time.Second)
			if slices.Contains(s.outcomes(), parley.OutcomeParked) {
				parked.Store(int64(time.Since(s.start)))
			}
		}
		if at := time.Duration(parked.Load()); at < 8*time.Minute || at > 15*time.Minute {
			t.Errorf("parked after %v, want about 11 minutes: the sum of the delays", at)
		}
	})
}
