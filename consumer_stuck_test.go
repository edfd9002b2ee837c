package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type flakyKeep struct {
	parley.FailureStore
	fail atomic.Int64
}

func (f *flakyKeep) Keep(ctx context.Context, c string, l []parley.Failure) ([]parley.KeptFailure, error) {
	if f.fail.Add(-1) >= 0 {
		return nil, errors.New("db down")
	}
	return f.FailureStore.Keep(ctx, c, l)
}

// A worker whose handler was stuck is replaced once. Later steps of its job must not end other workers.
func TestAHandlerThatWasStuckCostsNoMoreThanItsWorker(t *testing.T) {
	store := &flakyKeep{}
	store.fail.Store(3)
	cfg := &parley.ConsumerConfig{Concurrency: 3, Failures: nil, HandlerTimeout: time.Second, StuckAfter: time.Second}
	onStage(t, cfg, func(s *stage) {
		store.FailureStore = memory.NewStore().Failures()
		cfg.Failures = store
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "slow" {
				time.Sleep(5 * time.Second)
				return parley.Park(errors.New("no"))
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		s.publish(text("slow"))
		s.wait(40 * time.Second)
		s.publish(text("a"), text("b"))
		s.wait(10 * time.Minute)
		if len(s.notes()) != 2 {
			t.Errorf("handled %v, want a and b; health %v; in hand %d", s.notes(), s.consumer.Health(), s.consumer.InHand())
		}
	})
}

// A message that may crash the process runs alone, but must not stop the others if its handler never returns.
func TestASuspectWhoseHandlerNeverReturnsStopsNothing(t *testing.T) {
	onRows(t, &parley.ConsumerConfig{HandlerTimeout: time.Second, StuckAfter: time.Second}, func(s *rowStage) {
		ch := make(chan struct{})
		time.AfterFunc(25*time.Minute, func() { close(ch) })
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "poison" {
				<-ch
				return nil
			}
			s.note(d)
			return nil
		})
	}, func(s *rowStage) {
		m := text("poison")
		m.Exchange, m.RoutingKey = "user", "k"
		if _, err := s.table.Keep(s.ctx, "q", []parley.Failure{{Message: m, State: parley.FailureWaiting, Begun: 2}}); err != nil {
			t.Fatal(err)
		}
		s.wait(20 * time.Second)
		for i := range 10 {
			s.publish(text(fmt.Sprint("ok", i)))
		}
		s.wait(20 * time.Minute)
		if len(s.notes()) != 10 {
			t.Errorf("after 20 minutes handled %d of 10; health: %v", len(s.notes()), s.consumer.Health())
		}
		s.wait(10 * time.Minute)
	})
}

// A row that must run alone may have the key of a handler that never returns: another process has stored it.
func TestASuspectBehindAStuckHandlerOfItsKeyStopsNothing(t *testing.T) {
	var release chan struct{}
	onRows(t, &parley.ConsumerConfig{HandlerTimeout: time.Second, StuckAfter: time.Second}, func(s *rowStage) {
		release = make(chan struct{})
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "stuck" {
				<-release
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
	}, func(s *rowStage) {
		s.publish(keyed("K", "stuck"), keyed("K", "behind"))
		s.wait(5 * time.Second)
		for _, key := range []string{"K", "L"} {
			m := keyed(key, "suspect"+key)
			m.Exchange, m.RoutingKey = "user", "k"
			f := parley.Failure{Message: m, State: parley.FailureWaiting, Key: key, Begun: parley.SuspectAfter}
			if _, err := s.table.Keep(s.ctx, "q", []parley.Failure{f}); err != nil {
				t.Fatal(err)
			}
		}
		s.wait(5 * time.Second)
		for i := range 3 {
			s.publish(text(fmt.Sprint("ok", i)))
			s.wait(time.Second)
		}
		want := []string{"suspectL", "ok0", "ok1", "ok2"}
		if got := bodies(s.notes()); !slices.Equal(got, want) {
			t.Errorf("handled %v beside the stuck handler, want %v", got, want)
		}
		close(release)
		s.wait(time.Minute)
		if got := bodies(s.notes()); len(got) != 7 {
			t.Errorf("handled %v after it has returned, want all 7", got)
		}
	})
}
