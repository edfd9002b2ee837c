package parley_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

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

// A drainedTable is a consumer with rows in its table, which does not run.
type drainedTable struct {
	t        *testing.T
	store    *memory.Store
	consumer *parley.Consumer
}

// onTable runs play in a bubble with n waiting rows.
func onTable(t *testing.T, n int, handle func(d *drainedTable) error, play func(d *drainedTable)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &drainedTable{t: t, store: memory.NewStore()}
		control, err := parley.NewControl(d.store, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		router := parley.NewRouter()
		router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return handle(d) })
		d.consumer, err = parley.NewConsumer(memory.NewBroker(nil), router, &parley.ConsumerConfig{
			Queue: "q", Failures: d.store.Failures(), Control: control, Concurrency: 1, Logger: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			row := parley.Failure{Message: parley.Message{Exchange: "user", RoutingKey: "k", Body: []byte("{}")}, State: parley.FailureWaiting}
			if _, err := d.store.Failures().Keep(t.Context(), "q", []parley.Failure{row}); err != nil {
				t.Fatal(err)
			}
		}
		play(d)
	})
}

func (d *drainedTable) pause(p parley.Pause) {
	if _, err := d.store.SetPause(d.t.Context(), p, time.Hour); err != nil {
		d.t.Error(err)
	}
}

// wantLeft checks how many rows wait, all of them free.
func (d *drainedTable) wantLeft(n int64) {
	d.t.Helper()
	st, err := d.store.Failures().Stats(d.t.Context(), "q")
	if err != nil || st.Waiting != n || st.Running != 0 {
		d.t.Errorf("the table has %+v (%v), want %d waiting and none running", st, err, n)
	}
}

func TestADrainDoesNotHandleTheRowsOfAPausedQueue(t *testing.T) {
	handled := 0
	onTable(t, 3, func(*drainedTable) error { handled++; return nil }, func(d *drainedTable) {
		d.pause(queuePaused)
		err := d.consumer.Drain(d.t.Context())
		if handled != 0 || !errors.Is(err, parley.ErrPaused) || !strings.Contains(err.Error(), "consumer queue q until") || !strings.Contains(err.Error(), "parley resume consumer --queue q") {
			t.Errorf("handled %d, error %v", handled, err)
		}
		d.wantLeft(3)
		if _, err := d.store.EndPause(d.t.Context(), queuePaused); err != nil {
			t.Fatal(err)
		}
		if err := d.consumer.Drain(d.t.Context()); handled != 3 || err != nil {
			t.Errorf("after the pause: handled %d, error %v", handled, err)
		}
	})
}

func TestADrainEndsWhenItsQueueIsPaused(t *testing.T) {
	handled := 0
	onTable(t, 9, func(d *drainedTable) error {
		if handled++; handled == 2 {
			d.pause(queuePaused)
		}
		time.Sleep(2 * time.Second) // virtual: the pause is read meanwhile
		return nil
	}, func(d *drainedTable) {
		if err := d.consumer.Drain(d.t.Context()); handled != 2 || !errors.Is(err, parley.ErrPaused) {
			t.Errorf("handled %d, error %v", handled, err)
		}
		d.wantLeft(7)
	})
}

func TestADrainWaitsForTheRowsOfAPausedRoutingKey(t *testing.T) {
	handled := 0
	onTable(t, 2, func(*drainedTable) error { handled++; return nil }, func(d *drainedTable) {
		key := parley.Pause{Part: parley.PauseConsumer, RoutingKey: "k"}
		d.pause(key)
		done := make(chan error, 1)
		go func() { done <- d.consumer.Drain(d.t.Context()) }()
		time.Sleep(30 * time.Minute)
		if handled != 0 {
			t.Errorf("handled %d while paused", handled)
		}
		if _, _, err := parley.Resume(d.t.Context(), d.store, d.store.Failures(), key); err != nil {
			t.Fatal(err)
		}
		if err := <-done; handled != 2 || err != nil {
			t.Errorf("after the pause: handled %d, error %v", handled, err)
		}
	})
}
