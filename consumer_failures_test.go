package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A failingStore returns an error from Keep while down is set.
type failingStore struct {
	parley.FailureStore
	down atomic.Pointer[error]
}

func (s *failingStore) Keep(ctx context.Context, consumer string, f []parley.Failure) ([]parley.KeptFailure, error) {
	if err := s.down.Load(); err != nil {
		return nil, *err
	}
	return s.FailureStore.Keep(ctx, consumer, f)
}

func TestWhileTheDatabaseIsUnreachableAFailedDeliveryStaysUnackedAndHealthSaysSo(t *testing.T) {
	store := &failingStore{}
	cause := errors.New("connection refused")
	store.down.Store(&cause)
	cfg := &parley.ConsumerConfig{Failures: store, Prefetch: 10, KillSwitch: parley.KillSwitchConfig{Share: 0.9}}
	onRows(t, cfg, func(s *rowStage) {
		store.FailureStore = s.table
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if strings.HasPrefix(string(d.Body), "bad") {
				return parley.Park(errors.New("bad"))
			}
			s.note(d)
			return nil
		})
	}, func(s *rowStage) {
		s.publish(text("bad 1"), text("good 1"))
		s.wait(10 * time.Second)
		if err := s.consumer.Health(); err == nil || !strings.Contains(err.Error(), "cannot be stored") {
			t.Errorf("health %v, want that a delivery cannot be stored", err)
		}
		if got := bodies(s.notes()); len(got) != 1 {
			t.Errorf("handled %v beside a delivery that cannot be stored, want the good one", got)
		}
		for n := range 20 {
			s.publish(text(fmt.Sprint("bad ", n+2)))
		}
		s.wait(time.Minute)
		store.down.Store(nil)
		s.wait(2 * time.Minute)
		s.wantRows(21, parley.FailureParked)
		if err := s.consumer.Health(); err != nil {
			t.Errorf("health %v, want nil after all", err)
		}
	})
}

func TestADeliveryThatTheDatabaseRefusesGoesToTheParkedQueue(t *testing.T) {
	store := &failingStore{}
	cause := fmt.Errorf("value too long: %w", parley.ErrRefused)
	store.down.Store(&cause)
	onRows(t, &parley.ConsumerConfig{Failures: store}, func(s *rowStage) {
		store.FailureStore = s.table
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("bad")) })
	}, func(s *rowStage) {
		s.publish(text("x"))
		s.wait(time.Minute)
		if parked := s.parked(); len(parked) != 1 || string(parked[0].Body) != "x" {
			t.Errorf("%d messages in the parked queue, want the one", len(parked))
		}
		if err := s.consumer.Health(); err != nil {
			t.Error(err)
		}
	})
}

func TestMessagesOfTheParkedQueueAreMovedIntoTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("bad")) })
		cfg := &parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Logger: quiet}
		s.begin(cfg)
		s.publish(text("1"), text("2"), text("3"))
		s.wait(time.Minute)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		r := &rowStage{stage: s, db: memory.NewStore()}
		r.table = r.db.Failures()
		cfg.Failures = r.table
		s.begin(cfg)
		s.wait(time.Minute)
		for _, row := range r.wantRows(3, parley.FailureParked) {
			if row.Message.Exchange != "user" || row.Message.RoutingKey != "k" || row.History.Reason != "bad" || row.History.Attempts != 1 {
				t.Errorf("row %+v", row)
			}
		}
		if n := len(s.parked()); n != 0 {
			t.Errorf("%d messages are left in the parked queue", n)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// notReady is a failure store without a table.
type notReady struct{ parley.FailureStore }

func (notReady) Check(context.Context) error {
	return fmt.Errorf("table parley_failed is missing: %w (run \"parley migrate up\")", parley.ErrFailuresNotReady)
}

func TestAConsumerWhoseTableIsMissingDoesNotStart(t *testing.T) {
	r := parley.NewRouter()
	r.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return nil })
	c, err := parley.NewConsumer(memory.NewBroker(nil), r, &parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Failures: notReady{}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "parley migrate up") {
		t.Errorf("Run returned %v, want an error that names the command", err)
	}
}

func TestDrainHandlesWaitingRowsWithoutTakingNewMessages(t *testing.T) {
	cfg := &parley.ConsumerConfig{}
	var ready atomic.Bool
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if !ready.Load() {
				return parley.RetryAfter(time.Minute, errors.New("not yet"))
			}
			s.note(d)
			return nil
		})
	}, func(s *rowStage) {
		s.publish(text("1"), text("2"))
		synctest.Wait()
		s.wantRows(2, parley.FailureWaiting)
		ctx := context.WithoutCancel(s.ctx)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.ctx, s.stop = ctx, func() error { return nil }
		s.publish(text("3"))
		ready.Store(true)
		if err := s.consumer.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if got := bodies(s.notes()); len(got) != 2 || slices.Contains(got, "3") {
			t.Errorf("handled %v, want 1 and 2", got)
		}
		s.wantRows(0)
		if n, _, _ := s.broker.QueueLen(ctx, "q"); n != 1 {
			t.Errorf("%d messages in the queue, want the new one", n)
		}
	})
}
