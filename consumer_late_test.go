package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// together counts handlers of one key that run at the same time.
type together struct{ now, most atomic.Int64 }

func (n *together) run(work func()) {
	n.most.Store(max(n.most.Load(), n.now.Add(1)))
	work()
	n.now.Add(-1)
}

// A handler that ignores its context runs on after the end of its session.
func TestAKeyIsNotHandledAgainWhileItsHandlerOfALostSubscriptionRuns(t *testing.T) {
	for name, withTable := range map[string]bool{"with a database": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			var key together
			var slow atomic.Bool
			routes := func(s *stage) {
				slow.Store(true)
				s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
					if d.Header(parley.HeaderKey) != "K" {
						s.note(d)
						return nil
					}
					key.run(func() {
						if slow.Swap(false) {
							time.Sleep(4 * time.Minute)
						}
						s.note(d)
					})
					return nil
				}, parley.Ordered(nil))
			}
			play := func(s *stage) {
				s.publish(keyed("K", "1"), keyed("K", "2"))
				synctest.Wait()
				s.broker.Disconnect()
				s.wait(time.Minute)
				s.publish(keyed("L", "other"))
				s.wait(time.Second)
				if got := bodies(s.notes()); !slices.Equal(got, []string{"other"}) {
					t.Errorf("handled %v while the first handler runs, want the message of another key", got)
				}
				s.broker.Disconnect()
				s.wait(10 * time.Minute)
				if got := bodies(s.notes()); !slices.Equal(got, []string{"other", "1", "1", "2"}) {
					t.Errorf("handled %v, want other, 1 by the late handler, then 1 again and 2", got)
				}
				if n := key.most.Load(); n != 1 {
					t.Errorf("%d handlers of one key ran side by side", n)
				}
			}
			if withTable {
				onRows(t, nil, func(s *rowStage) { routes(s.stage) }, func(s *rowStage) { play(s.stage) })
				return
			}
			onStage(t, nil, routes, play)
		})
	}
}

// A claim that is not renewed ends after 30 s.
func TestARowIsNotHandledAgainWhileItsHandlerOfALostSubscriptionRuns(t *testing.T) {
	var key together
	var tries atomic.Int64
	onRows(t, nil, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error {
			key.run(func() {
				if tries.Add(1) == 1 {
					time.Sleep(4 * time.Minute)
				}
			})
			return nil
		})
		m := text("x")
		m.Exchange, m.RoutingKey = "user", "k"
		if _, err := s.table.Keep(context.Background(), "q", []parley.Failure{{Message: m, State: parley.FailureWaiting}}); err != nil {
			t.Fatal(err)
		}
	}, func(s *rowStage) {
		s.wait(time.Second)
		s.broker.Disconnect()
		s.wait(3 * time.Minute)
		if n := tries.Load(); n != 1 {
			t.Errorf("%d attempts while the first handler runs, want 1", n)
		}
		s.wait(7 * time.Minute)
		if n := key.most.Load(); n != 1 {
			t.Errorf("%d handlers of one row ran side by side", n)
		}
		s.wantRows(0)
	})
}

func TestAnOperatorsPauseLetsRunningHandlersFinish(t *testing.T) {
	cfg := &parley.ConsumerConfig{}
	var db *memory.Store
	onStage(t, cfg, func(s *stage) {
		db = memory.NewStore()
		control, err := parley.NewControl(db, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Control = control
		s.router.HandleFunc("user", "k", func(ctx context.Context, d *parley.Delivery) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(4 * time.Minute):
				s.note(d)
				return nil
			}
		})
	}, func(s *stage) {
		s.publish(text("slow"))
		s.wait(time.Second)
		queue := parley.Pause{Part: parley.PauseConsumer, Queue: "q"}
		if _, err := db.SetPause(s.ctx, queue, time.Hour); err != nil {
			t.Fatal(err)
		}
		s.wait(10 * time.Minute)
		s.wantOutcomes(parley.OutcomeHandled)
		if n := len(s.broker.Messages("q")); n != 0 {
			t.Errorf("%d messages are in the queue after the handler has finished, want none", n)
		}
	})
}

// A handler that is stuck would otherwise be waited for at each end of a session.
func TestASessionDoesNotWaitForStuckHandlers(t *testing.T) {
	cfg := &parley.ConsumerConfig{HandlerTimeout: time.Second, StuckAfter: time.Second, ShutdownTimeout: 10 * time.Minute}
	onStage(t, cfg, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "stuck" {
				time.Sleep(20 * time.Minute)
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
	}, func(s *stage) {
		s.publish(keyed("K", "stuck"))
		s.wait(time.Minute)
		s.broker.Disconnect()
		s.publish(text("other"))
		s.wait(5 * time.Second)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"other"}) {
			t.Errorf("handled %v 5 s after the subscription was lost, want the other message", got)
		}
		s.wait(time.Hour)
	})
}

func TestAHandlerThatReturnedLateIsNoErrorOfALaterStop(t *testing.T) {
	var slow atomic.Bool
	onStage(t, nil, func(s *stage) {
		slow.Store(true)
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if slow.Swap(false) {
				time.Sleep(4 * time.Minute)
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		s.publish(text("x"))
		synctest.Wait()
		s.broker.Disconnect()
		s.wait(10 * time.Minute) // the stage expects no error of its stop
	})
}

func TestAHandlerOfALostSubscriptionThatNeverReturnsIsAnErrorOfALaterStop(t *testing.T) {
	var slow atomic.Bool
	synctest.Test(t, func(t *testing.T) {
		slow.Store(true)
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error {
			if slow.Swap(false) {
				time.Sleep(time.Hour)
			}
			return nil
		})
		s.begin(&parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Logger: quiet})
		s.publish(text("x"))
		synctest.Wait()
		s.broker.Disconnect()
		s.wait(10 * time.Minute)
		if err := s.stop(); err == nil {
			t.Error("the stop reports no handler that did not return")
		}
		time.Sleep(time.Hour)
	})
}

// The first message in the queue has the key of a handler that never returns: it cannot be the probe.
func TestAKeyWhoseHandlerNeverReturnsKeepsNoConsumerPaused(t *testing.T) {
	var down, slow atomic.Bool
	var release chan struct{}
	onStage(t, nil, func(s *stage) {
		down.Store(true)
		slow.Store(true)
		release = make(chan struct{})
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "hangs" && slow.Swap(false) {
				<-release
			}
			if down.Load() {
				return errors.New("database down")
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
	}, func(s *stage) {
		s.publish(keyed("K", "hangs"), keyed("K", "behind"))
		for n := range 40 {
			s.publish(keyed(fmt.Sprint("key", n), fmt.Sprint(n)))
		}
		s.wait(2 * time.Minute)
		if s.consumer.Health() == nil {
			t.Fatal("the consumer has not paused")
		}
		down.Store(false)
		s.wait(2 * time.Minute)
		if n := len(s.notes()); n != 40 || s.consumer.Health() != nil {
			t.Errorf("2 minutes after the outage %d of 40 messages of other keys are handled; health: %v", n, s.consumer.Health())
		}
		close(release)
		s.wait(time.Minute)
		if got := bodies(s.notes()); len(got) < 42 || got[len(got)-1] != "behind" {
			t.Errorf("handled %v after the handler has returned, want the messages of its key too", got)
		}
	})
}
