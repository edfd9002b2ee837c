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

// nilError is an error type whose methods panic on a nil pointer.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestAnErrorOrAPolicyThatPanicsParksTheMessageAndOthersAreHandled(t *testing.T) {
	retry := parley.RetryPolicy{Permanent: func(err error) bool {
		if err.Error() == "explode" {
			panic("policy")
		}
		return false
	}}
	onStage(t, &parley.ConsumerConfig{Retry: retry}, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			switch string(d.Body) {
			case "typed nil":
				var err *nilError
				return err
			case "policy":
				return errors.New("explode")
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		s.publish(text("typed nil"), text("policy"), text("good"))
		s.wait(time.Minute)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"good"}) {
			t.Errorf("handled %v, want the good one", got)
		}
		if n := len(s.parked()); n != 2 {
			t.Errorf("%d parked, want both others", n)
		}
	})
}

func TestAHandlerThatKeepsItsDeliverySeesItUnchanged(t *testing.T) {
	var kept []*parley.Delivery
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			kept = append(kept, d)
			return errors.New("no")
		})
	}, func(s *stage) {
		s.publish(text("x"))
		s.wait(5 * time.Second)
		for n, d := range kept {
			if d.Attempt != n+1 || d.History().Attempts != n {
				t.Errorf("the delivery of attempt %d says attempt %d, %d failures", n+1, d.Attempt, d.History().Attempts)
			}
		}
	})
}

// Few keys have few messages in hand, which fail repeatedly. A probe of an ordered route uses up its whole plan in the
// process and is parked then; otherwise a poison message would keep the consumer paused. After KillSwitch.Minimum of them without a
// success, the messages are clearly not the cause.
func TestOrderedRoutesWithFewKeysPauseTheConsumerInsteadOfParkingOneMessageAfterAnother(t *testing.T) {
	const outage = 6 * time.Hour
	var down atomic.Bool
	routes := func(s *stage) {
		down.Store(true)
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if down.Load() {
				return errors.New("database is down")
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
	}
	const minimum = 10
	play := func(s *stage) {
		for n := range 60 {
			s.publish(keyed(fmt.Sprint("key", n%3), fmt.Sprint(n)))
		}
		s.wait(outage)
		down.Store(false)
		s.wait(time.Hour)
		if n := len(s.notes()); n < 60-minimum {
			t.Errorf("%d of 60 messages were handled after an outage of 6 hours, want %d at least", n, 60-minimum)
		}
	}
	onStage(t, nil, routes, play)
	onRows(t, nil, func(s *rowStage) { routes(s.stage) }, func(s *rowStage) { play(s.stage) })
}

func TestMoreHeldKeysThanAreRememberedHoldAllKeys(t *testing.T) {
	var first atomic.Bool
	cfg := &parley.ConsumerConfig{KillSwitch: parley.KillSwitchConfig{Share: 2}, Prefetch: 300}
	onStage(t, cfg, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "1" {
				return parley.Park(errors.New("broken"))
			}
			first.Store(true)
			return nil
		}, parley.Ordered(nil), parley.HoldKey())
	}, func(s *stage) {
		for n := range 10_001 {
			s.publish(keyed(fmt.Sprint("key", n), "1"))
		}
		s.wait(time.Minute)
		for _, n := range []int{0, 5000, 10_000} {
			s.publish(keyed(fmt.Sprint("key", n), "2"))
		}
		s.wait(time.Minute)
		if first.Load() {
			t.Error("a later message was handled although the first one of its key is parked")
		}
	})
}

// suspicious returns a message with the delivery count that a quorum queue sets.
func suspicious(body string, count int64) *parley.Message {
	m := text(body)
	m.Exchange, m.RoutingKey = "user", "k"
	m.Headers = map[string]any{"x-delivery-count": count}
	return &m
}

func TestADeliveryCountSetByAPublisherIsIgnored(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil })
	}, func(s *stage) {
		s.publish(*suspicious("x", 1000))
		s.wait(time.Minute)
		if n := len(s.notes()); n != 1 {
			t.Errorf("handled %d times, want once: the message is new", n)
		}
	})
}

// A watcher notes what ran beside a suspect.
type watcher struct {
	mu                      sync.Mutex // guards the fields below
	running, suspects, most int
	beside, handled         []string
}

// run handles a message for a second.
func (w *watcher) run(d *parley.Delivery) {
	body := string(d.Body)
	suspect := strings.HasPrefix(body, "suspect")
	w.mu.Lock()
	if suspect && w.running > 0 || w.suspects > 0 {
		w.beside = append(w.beside, body)
	}
	w.running++
	w.most = max(w.most, w.running)
	if suspect {
		w.suspects++
	}
	w.mu.Unlock()
	time.Sleep(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if suspect {
		w.suspects--
	}
	w.handled = append(w.handled, body)
}

// A quorum queue counts every delivery that was in hand when a process crashed: most of them did not cause it.
func TestMessagesThatWereDeliveredOftenAreHandledAloneAndNotParked(t *testing.T) {
	const suspects, others = 5, 200
	for name, withTable := range map[string]bool{"with a database": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			var crashed atomic.Bool
			var w watcher
			routes := func(s *stage) {
				s.router.HandleFunc("user", "k", func(ctx context.Context, d *parley.Delivery) error {
					if !crashed.Load() { // nothing is a suspect yet
						<-ctx.Done()
						return ctx.Err()
					}
					w.run(d)
					return nil
				})
			}
			play := func(s *stage) {
				for n := range suspects {
					s.publish(*suspicious(fmt.Sprint("suspect", n), 10), text(fmt.Sprint("before", n)))
				}
				synctest.Wait()
				crashed.Store(true)
				s.broker.Disconnect() // they are redelivered, with their count
				for n := range others {
					s.publish(text(fmt.Sprint("other", n)))
					s.wait(200 * time.Millisecond)
				}
				s.wait(time.Minute)
				if n := len(w.handled); n != 2*suspects+others {
					t.Errorf("%d of %d messages were handled: %v", n, 2*suspects+others, w.handled)
				}
				if len(w.beside) > 0 {
					t.Errorf("%v began beside a suspect, or are suspects that began beside others: want each suspect alone", w.beside)
				}
				if w.most != 8 {
					t.Errorf("at most %d messages were handled at once, want 8: the test is to show that suspects are not", w.most)
				}
			}
			cfg := &parley.ConsumerConfig{Concurrency: 8, ShutdownTimeout: time.Second}
			if withTable {
				onRows(t, cfg, func(s *rowStage) { routes(s.stage) }, func(s *rowStage) {
					play(s.stage)
					s.wantRows(0)
				})
				return
			}
			onStage(t, cfg, routes, func(s *stage) {
				play(s)
				if n := len(s.parked()); n != 0 {
					t.Errorf("%d messages are parked, want none", n)
				}
			})
		})
	}
}

func TestARowThatCrashesItsProcessRepeatedlyIsParked(t *testing.T) {
	cfg := &parley.ConsumerConfig{PoisonLimit: 4}
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil })
		m := text("x")
		m.Exchange, m.RoutingKey = "user", "k"
		if _, err := s.table.Keep(context.Background(), "q", []parley.Failure{{Message: m, State: parley.FailureWaiting}}); err != nil {
			t.Fatal(err)
		}
		for range 3 { // three processes claim it and are killed
			rows, err := s.table.Claim(context.Background(), "q", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Second})
			if len(rows) == 0 {
				rows, err = s.table.Claim(context.Background(), "q", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Second, Alone: true})
			}
			if err != nil || len(rows) != 1 {
				t.Fatalf("claimed %d rows: %v", len(rows), err)
			}
			time.Sleep(2 * time.Second)
		}
	}, func(s *rowStage) {
		s.wait(time.Minute)
		if n := len(s.notes()); n != 0 {
			t.Errorf("handled %d times, want none: it was begun three times before", n)
		}
		s.wantRows(1, parley.FailureParked)
	})
}

func TestManySuspectRowsAreHandledSoonAndEachAlone(t *testing.T) {
	const suspects = 200
	var running, most atomic.Int64
	onRows(t, nil, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Millisecond)
			running.Add(-1)
			s.note(d)
			return nil
		})
		for n := range suspects {
			m := text(fmt.Sprint(n))
			m.Exchange, m.RoutingKey = "user", "k"
			f := parley.Failure{Message: m, State: parley.FailureWaiting, Begun: parley.SuspectAfter}
			if _, err := s.table.Keep(context.Background(), "q", []parley.Failure{f}); err != nil {
				t.Fatal(err)
			}
		}
	}, func(s *rowStage) {
		s.wait(10 * time.Second)
		if n := len(s.notes()); n != suspects {
			t.Errorf("%d of %d suspects were handled within 10 s", n, suspects)
		}
		if n := most.Load(); n != 1 {
			t.Errorf("%d suspects were handled at once, want each alone", n)
		}
	})
}

// failFirst adds an ordered route whose handler fails once, with the body "1", and notes what it handles.
func failFirst(s *stage) {
	failed := false
	s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
		if string(d.Body) == "1" && !failed {
			failed = true // only one delivery of the key is handled at once
			return errors.New("not yet")
		}
		s.note(d)
		return nil
	}, parley.Ordered(nil))
}

// Two subscriptions have ended while a message of an ordered route waited for its retry. At the end of the queue, later messages of its key
// would overtake it.
func TestASuspectOfAnOrderedRouteIsNotOvertakenByItsKeyWithoutAFailureStore(t *testing.T) {
	onStage(t, nil, failFirst, func(s *stage) {
		m := suspicious("1", 10)
		m.SetHeader(parley.HeaderKey, "K")
		s.publish(*m)
		synctest.Wait()
		s.broker.Disconnect() // it is redelivered, with its count
		s.publish(keyed("K", "2"))
		s.wait(time.Minute)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("handled %v, want 1 and then 2", got)
		}
	})
}

// The broker drops a message at its delivery limit of 20.
func TestASuspectOfAnOrderedRouteIsParkedBeforeTheBrokerWouldDropIt(t *testing.T) {
	for count, want := range map[int64][]string{18: {"1", "2"}, 19: {"2"}} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			onStage(t, nil, failFirst, func(s *stage) {
				m := suspicious("1", count)
				m.SetHeader(parley.HeaderKey, "K")
				s.publish(*m)
				synctest.Wait()
				s.broker.Disconnect()
				s.publish(keyed("K", "2"))
				s.wait(time.Minute)
				if got := bodies(s.notes()); !slices.Equal(got, want) {
					t.Errorf("handled %v, want %v", got, want)
				}
				if n := len(s.parked()); n != 2-len(want) {
					t.Errorf("%d messages are parked, want %d", n, 2-len(want))
				}
			})
		})
	}
}
