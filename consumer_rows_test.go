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

// A rowStage is a stage whose consumer keeps its failed deliveries in a table.
type rowStage struct {
	*stage
	db    *memory.Store
	table *memory.Failures
}

// onRows runs play in a bubble, with a consumer that has a failure store.
func onRows(t *testing.T, cfg *parley.ConsumerConfig, routes, play func(s *rowStage)) {
	db := memory.NewStore()
	r := &rowStage{db: db}
	if cfg == nil {
		cfg = &parley.ConsumerConfig{}
	}
	onStage(t, cfg, func(s *stage) {
		r.db = memory.NewStore() // within the bubble
		r.stage, r.table = s, r.db.Failures()
		if cfg.Failures == nil {
			cfg.Failures = r.table
		}
		routes(r)
	}, func(*stage) { play(r) })
}

// rows lists the rows of the consumer, bodies included.
func (s *rowStage) rows(states ...parley.FailureState) []parley.FailureRow {
	s.t.Helper()
	list, err := s.table.List(s.ctx, parley.FailureQuery{Consumer: "q", States: states}, 0, 10_000)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range list {
		if list[i], err = s.table.Get(s.ctx, list[i].ID); err != nil {
			s.t.Fatal(err)
		}
	}
	return list
}

// wantRows checks how many rows there are.
func (s *rowStage) wantRows(n int, states ...parley.FailureState) []parley.FailureRow {
	s.t.Helper()
	rows := s.rows(states...)
	if len(rows) != n {
		s.t.Fatalf("%d rows %v, want %d", len(rows), states, n)
	}
	return rows
}

func TestAFailedDeliveryIsRetriedByPlanFromTheDatabaseUnderItsOwnAddressAndThenParked(t *testing.T) {
	var at []time.Duration
	onRows(t, nil, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			at = append(at, time.Since(s.start))
			if d.Exchange != "user" || d.RoutingKey != "k" || d.Header("mine") != "kept" || d.Attempt != len(at) || d.Priority != 7 {
				t.Errorf("attempt %d saw %+v", len(at), d)
			}
			return errors.New("no")
		})
	}, func(s *rowStage) {
		m := text("x")
		m.SetHeader("mine", "kept")
		m.Priority, m.Expiration = 7, time.Hour
		s.publish(m)
		s.wait(time.Hour)
		for i, want := range []time.Duration{0, 100 * time.Millisecond, 1100 * time.Millisecond, 11100 * time.Millisecond, 71100 * time.Millisecond, 671100 * time.Millisecond} {
			if i >= len(at) || at[i] < want*7/10 || at[i] > want*13/10 {
				t.Fatalf("tried at %v, want about 0, 0.1s, 1.1s, 11s, 71s, 671s", at)
			}
		}
		row := s.wantRows(1, parley.FailureParked)[0]
		if h := row.History; h.Attempts != 6 || h.FirstError != "no" || h.Reason != "no" || h.FirstFailure.IsZero() {
			t.Errorf("history %+v", h)
		}
		if m := row.Message; m.Exchange != "user" || m.ID != "id-x" || m.Priority != 7 || m.Expiration != time.Hour || string(m.Body) != "x" {
			t.Errorf("parked %+v", m)
		}
		s.wantOutcomes(parley.OutcomeRetried, parley.OutcomeRetried, parley.OutcomeRetried, parley.OutcomeParked)
	})
}

func TestAConsumerWithADatabaseMakesNoQueuesOfItsOwn(t *testing.T) {
	onRows(t, nil, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return errors.New("no") })
	}, func(s *rowStage) {
		s.publish(text("x"))
		s.wait(time.Hour)
		for _, queue := range []string{"q.parked", "q.retry.10s", "q.parley"} {
			if _, _, err := s.broker.QueueLen(s.ctx, queue); err == nil {
				t.Errorf("queue %s exists", queue)
			}
		}
	})
}

func TestARowThatIsHandledInATransactionOfTheSameDatabaseIsDeletedInIt(t *testing.T) {
	onRows(t, nil, func(s *rowStage) {
		inbox, err := parley.NewInbox(s.db, &parley.InboxConfig{Consumer: "q"})
		if err != nil {
			t.Fatal(err)
		}
		tries := 0
		s.router.Handle("user", "k", inbox.Handler(func(ctx context.Context, _ *memory.Tx, d *parley.Delivery) error {
			if tries++; tries <= 3 {
				return errors.New("not yet")
			}
			if rows := s.rows(); len(rows) != 1 { // another transaction sees it until the commit
				t.Errorf("during the transaction other sessions see %d rows, want 1", len(rows))
			}
			s.note(d)
			return nil
		}))
	}, func(s *rowStage) {
		s.publish(text("x"))
		s.wait(time.Minute)
		if n := len(s.notes()); n != 1 {
			t.Errorf("handled %d times, want once", n)
		}
		s.wantRows(0)
	})
}

func TestAStopReleasesRowsUnchanged(t *testing.T) {
	cfg := &parley.ConsumerConfig{Concurrency: 2, Retry: parley.RetryPolicy{Immediate: []time.Duration{}}, KillSwitch: parley.KillSwitchConfig{Share: 2}}
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(ctx context.Context, d *parley.Delivery) error {
			if d.Attempt == 1 {
				return errors.New("not yet")
			}
			<-ctx.Done()
			return ctx.Err()
		})
	}, func(s *rowStage) {
		for n := range 10 {
			s.publish(text(fmt.Sprint(n)))
		}
		s.wait(11 * time.Second)
		if n := len(s.rows(parley.FailureRunning)); n == 0 {
			t.Fatal("no row is running")
		}
		ctx := s.ctx
		s.ctx = context.WithoutCancel(ctx)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		for _, row := range s.wantRows(10, parley.FailureWaiting) {
			if row.Begun != 0 || row.History.Attempts != 1 {
				t.Errorf("row %d: begun %d, attempts %d, want 0 and 1", row.ID, row.Begun, row.History.Attempts)
			}
		}
		s.stop = func() error { return nil }
	})
}

func TestAMessageThatFailsAloneOnAQuietQueueIsParkedAndThoseOfAnOutageAreNot(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	cfg := &parley.ConsumerConfig{KillSwitch: parley.KillSwitchConfig{Share: 0.99}}
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if down.Load() {
				return errors.New("database is down")
			}
			s.note(d)
			return nil
		})
	}, func(s *rowStage) {
		s.publish(text("alone"))
		s.wait(time.Hour)
		s.wantRows(1, parley.FailureParked)
		for n := range 100 {
			s.publish(text(fmt.Sprint("outage ", n)))
		}
		s.wait(6 * time.Hour)
		if n := len(s.rows(parley.FailureParked)); n != 1 {
			t.Errorf("an outage of 6 hours has parked %d messages, want none but the one that failed before it", n-1)
		}
		if s.consumer.Health() == nil {
			t.Error("the consumer is healthy although its handlers' database is down")
		}
		down.Store(false)
		s.wait(time.Hour)
		if n := len(s.notes()); n != 100 {
			t.Errorf("after the outage %d messages were handled, want all 100", n)
		}
	})
}

func TestRowsAreNotClaimedWhileTheKillSwitchIsOpen(t *testing.T) {
	var tries atomic.Int64
	var down atomic.Bool
	onRows(t, nil, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if d.Header("row") != "" {
				tries.Add(1)
			}
			if d.Attempt == 1 && d.Header("row") != "" || down.Load() {
				return parley.RetryAfter(time.Second, errors.New("not yet"))
			}
			return nil
		})
		s.router.HandleFunc("user", "down", func(context.Context, *parley.Delivery) error { return errors.New("down") })
	}, func(s *rowStage) {
		m := text("row")
		m.SetHeader("row", "yes")
		s.publish(m)
		synctest.Wait()
		down.Store(true)
		for n := range 50 {
			s.publish(parley.Message{Exchange: "user", RoutingKey: "down", Body: fmt.Append(nil, n)})
		}
		s.wait(8 * time.Second) // the switch trips before the row is due
		before := tries.Load()
		if s.consumer.Health() == nil {
			t.Fatal("the switch is not open")
		}
		s.wait(30 * time.Second) // there are deliveries for all probes
		if n := tries.Load() - before; n != 0 {
			t.Errorf("the row was tried %d times while the switch was open", n)
		}
		if row := s.rows(parley.FailureWaiting)[0]; row.Begun != 0 || row.History.Attempts != 1 {
			t.Errorf("begun %d, attempts %d: want 0 and 1", row.Begun, row.History.Attempts)
		}
	})
}

func TestKeysKeepTheirOrderThroughRowsAndRestarts(t *testing.T) {
	var mu sync.Mutex
	order := map[string][]string{}
	cfg := &parley.ConsumerConfig{Concurrency: 4, KillSwitch: parley.KillSwitchConfig{Share: 2}, Retry: parley.RetryPolicy{Immediate: []time.Duration{time.Millisecond}}}
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if n := len(order[d.Key()]); n%5 == 4 && d.Attempt < 3+n%3 {
				return errors.New("not yet")
			}
			order[d.Key()] = append(order[d.Key()], string(d.Body))
			return nil
		}, parley.Ordered(nil))
	}, func(s *rowStage) {
		for n := range 300 {
			s.publish(keyed(fmt.Sprint("key", n%7), fmt.Sprintf("%03d", n)))
			if n%60 == 30 {
				s.wait(3 * time.Second)
				if err := s.stop(); err != nil {
					t.Error(err)
				}
				s.begin(cfg)
			}
		}
		s.wait(2 * time.Hour)
		total := 0
		for key, bodies := range order {
			total += len(bodies)
			if !slices.IsSorted(bodies) || len(slices.Compact(slices.Clone(bodies))) != len(bodies) {
				t.Errorf("%s: %v", key, bodies)
			}
		}
		if total != 300 {
			t.Errorf("handled %d, want each of 300 once; rows left: %d", total, len(s.rows()))
		}
	})
}

func TestAHeldKeyStaysHeldAfterARestartUntilItsMessageIsHandled(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	cfg := &parley.ConsumerConfig{}
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "a1" && broken.Load() {
				return parley.Park(errors.New("broken"))
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil), parley.HoldKey())
	}, func(s *rowStage) {
		s.publish(keyed("a", "a1"), keyed("a", "a2"), keyed("b", "b1"))
		s.wait(time.Minute)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.begin(cfg)
		s.publish(keyed("a", "a3"))
		s.wait(time.Minute)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"b1"}) {
			t.Fatalf("handled %v while the key is held, want b1 only", got)
		}
		s.wantRows(2, parley.FailureBehind)
		broken.Store(false)
		if n, err := s.table.Replay(s.ctx, parley.FailureQuery{Consumer: "q", States: []parley.FailureState{parley.FailureParked}}, 0); err != nil || n != 1 {
			t.Fatalf("replayed %d: %v", n, err)
		}
		s.wait(time.Minute)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"b1", "a1", "a2", "a3"}) {
			t.Errorf("handled %v, want a1, a2, a3 in their order after the replay", got)
		}
		s.wantRows(0)
	})
}

func bodies(notes []string) (out []string) {
	for _, n := range notes {
		out = append(out, n[strings.LastIndex(n, " ")+1:])
	}
	return out
}

func TestARowWhoseHandlerWasRemovedIsParkedAndNotDropped(t *testing.T) {
	onRows(t, nil, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return nil })
	}, func(s *rowStage) {
		m := text("x")
		m.Exchange, m.RoutingKey = "user", "removed"
		if _, err := s.table.Keep(s.ctx, "q", []parley.Failure{{Message: m, State: parley.FailureWaiting}}); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		s.wantRows(1, parley.FailureParked)
	})
}

// heldStore has a due row that another session holds: its handler has deleted it in an open transaction.
type heldStore struct{ parley.FailureStore }

func (heldStore) NextDue(context.Context, string) (time.Duration, bool, error) { return 0, true, nil }

func TestADueRowThatAnotherSessionHoldsStopsNothing(t *testing.T) {
	cfg := &parley.ConsumerConfig{Failures: heldStore{memory.NewStore().Failures()}}
	onStage(t, cfg, func(s *stage) {
		s.router.HandleFunc("user", "k", func(ctx context.Context, d *parley.Delivery) error {
			s.note(d)
			select {
			case <-time.After(40 * time.Second):
			case <-ctx.Done():
			}
			return nil
		})
	}, func(s *stage) {
		for i := range 10 {
			s.publish(text(fmt.Sprint(i)))
			s.wait(2 * time.Second)
		}
		if n := len(s.notes()); n != 10 {
			t.Errorf("%d of 10 messages have begun after 20 seconds: consumption stops for the held row", n)
		}
		s.wait(time.Minute)
	})
}
