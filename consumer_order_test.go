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
)

func TestKeysOfAnOrderedRouteKeepTheirOrderThroughRetries(t *testing.T) {
	failures := map[string]int{"a1": 2, "b2": 1}
	var mu sync.Mutex
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if failures[string(d.Body)] > 0 {
				failures[string(d.Body)]--
				return errors.New("not yet")
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
	}, func(s *stage) {
		s.publish(keyed("a", "a1"), keyed("a", "a2"), keyed("b", "b1"), keyed("c", "c1"), keyed("b", "b2"), keyed("b", "b3"), keyed("c", "c2"))
		synctest.Wait()
		for _, body := range []string{"b1", "c1", "c2"} {
			if !slices.Contains(s.notes(), "0s "+body) {
				t.Errorf("%s was blocked by another key: %v", body, s.notes())
			}
		}
		s.wait(time.Minute)
		for _, order := range [][]string{{"a1", "a2"}, {"b1", "b2", "b3"}, {"c1", "c2"}} {
			var got []string
			for _, n := range s.notes() {
				body := n[strings.Index(n, " ")+1:]
				if body[0] == order[0][0] {
					got = append(got, body)
				}
			}
			if !slices.Equal(got, order) {
				t.Errorf("handled %v, want %v", got, order)
			}
		}
	})
}

// Guarantee: with a failure store the retries of an ordered route hold up their key only, and the key keeps its order.
func TestAnOrderedRouteWithAFailureStoreMayRetryForHours(t *testing.T) {
	plan := parley.RetryPolicy{Delays: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour}}
	for name, options := range map[string][]parley.RouteOption{
		"the consumer's plan": {parley.Ordered(nil)},
		"the route's plan":    {parley.Ordered(nil), parley.Retry(plan)},
		"with HoldKey":        {parley.Ordered(nil), parley.HoldKey()},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := 0 // of a1: only one delivery of a key is handled at once
			onRows(t, &parley.ConsumerConfig{Retry: plan}, func(s *rowStage) {
				s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
					if string(d.Body) == "a1" {
						if attempts++; attempts <= 7 {
							return errors.New("not yet")
						}
					}
					s.note(d)
					return nil
				}, options...)
			}, func(s *rowStage) {
				s.publish(keyed("a", "a1"), keyed("a", "a2"), keyed("b", "b1"))
				s.wait(2 * time.Hour)
				s.publish(keyed("a", "a3"), keyed("b", "b2"))
				s.wait(time.Second)
				if got := bodies(s.notes()); !slices.Equal(got, []string{"b1", "b2"}) {
					t.Errorf("handled %v after 2 hours, want only those of key b", got)
				}
				if n := s.consumer.InHand(); n != 0 {
					t.Errorf("%d deliveries are in hand, want none: they wait in the table", n)
				}
				s.wait(3 * time.Hour)
				if got := bodies(s.notes()); !slices.Equal(got, []string{"b1", "b2", "a1", "a2", "a3"}) {
					t.Errorf("handled %v, want those of key a in their order after those of key b", got)
				}
				s.wantRows(0)
			})
		})
	}
}

func TestFailingKeyDoesNotUseUpThePrefetch(t *testing.T) {
	cfg := &parley.ConsumerConfig{Prefetch: 10, KillSwitch: parley.KillSwitchConfig{Share: 2}}
	onStage(t, cfg, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if d.Key() == "bad" {
				return errors.New("no")
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
	}, func(s *stage) {
		for i := range 30 {
			s.publish(keyed("bad", fmt.Sprint("bad", i)))
		}
		s.publish(keyed("good", "good"))
		s.wait(10 * time.Minute)
		if len(s.notes()) != 1 {
			t.Errorf("the good key is blocked")
		}
	})
}

func TestHoldKeyParksLaterMessagesInOrder(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if broken.Load() && string(d.Body) == "1" {
				return parley.Park(errors.New("no"))
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil), parley.HoldKey())
	}, func(s *stage) {
		s.publish(keyed("a", "1"), keyed("b", "other"))
		s.wait(time.Second)
		s.publish(keyed("a", "2"), keyed("a", "3"))
		s.wait(time.Second)
		if got := s.notes(); len(got) != 1 {
			t.Fatalf("handled %v, want only the other key's", got)
		}
		broken.Store(false)
		n, err := parley.ReplayParked(s.ctx, s.broker, "q", nil)
		if err != nil || n != 3 {
			t.Fatalf("replayed %d (%v), want 3", n, err)
		}
		s.wait(time.Minute)
		var bodies []string
		for _, n := range s.notes() {
			bodies = append(bodies, n[strings.Index(n, " ")+1:])
		}
		if !slices.Equal(bodies, []string{"other", "1", "2", "3"}) {
			t.Errorf("handled %v", bodies)
		}
	})
}

func TestPanickingKeyFunctionParksItsMessageOnly(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil },
			parley.Ordered(func(d *parley.Delivery) string { return string(d.Body[10:]) }))
	}, func(s *stage) {
		s.publish(text("short"), text("long enough for a key"))
		s.wait(time.Second)
		if got := s.outcomes(); len(got) != 2 || !slices.Contains(got, parley.OutcomeParked) || len(s.notes()) != 1 {
			t.Errorf("outcomes %v", got)
		}
	})
}

func TestHoldKeyHoldsFollowersInHand(t *testing.T) {
	var got []string
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "#", func(_ context.Context, d *parley.Delivery) error {
			got = append(got, string(d.Body))
			if string(d.Body) == "1" {
				time.Sleep(time.Second)
				return parley.Park(errors.New("bad"))
			}
			return nil
		}, parley.Ordered(func(*parley.Delivery) string { return "k" }), parley.HoldKey())
	}, func(s *stage) {
		for _, b := range []string{"1", "2", "3"} {
			if errs := s.broker.Publish(s.ctx, []parley.Message{{Exchange: "user", RoutingKey: "a", Body: []byte(b)}}); errs != nil {
				t.Fatal(errs)
			}
		}
		time.Sleep(5 * time.Second)
	})
	if len(got) != 1 {
		t.Errorf("handled %v, want only 1: 2 and 3 are behind a parked message of their key", got)
	}
}

func TestOrderedRouteIsHeldToTheLimitWithTheConsumersPolicy(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "#", func(context.Context, *parley.Delivery) error { return nil }, parley.Ordered(nil))
	}, func(s *stage) {
		_, err := parley.NewConsumer(s.broker, s.router, &parley.ConsumerConfig{Queue: "q2", Retry: parley.RetryPolicy{Delays: []time.Duration{2 * time.Hour}}})
		if err == nil {
			t.Error("an ordered route with a retry of 2h is accepted; RabbitMQ ends the channel after 30m")
		}
	})
}

func TestHoldKeyOutlivesAReplayThatFailsAgain(t *testing.T) {
	var got []string
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "#", func(_ context.Context, d *parley.Delivery) error {
			got = append(got, string(d.Body))
			if string(d.Body) == "1" {
				return parley.Park(errors.New("bad"))
			}
			return nil
		}, parley.Ordered(func(*parley.Delivery) string { return "k" }), parley.HoldKey())
	}, func(s *stage) {
		for _, b := range []string{"1", "2"} {
			if errs := s.broker.Publish(s.ctx, []parley.Message{{Exchange: "user", RoutingKey: "a", Body: []byte(b)}}); errs != nil {
				t.Fatal(errs)
			}
			time.Sleep(5 * time.Second) // 1 is parked before 2 arrives
		}
		if n, err := parley.ReplayParked(s.ctx, s.broker, "q", nil); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(5 * time.Second)
	})
	if len(got) != 2 {
		t.Errorf("handled %v, want [1 1]: 2 is still behind 1", got)
	}
}
