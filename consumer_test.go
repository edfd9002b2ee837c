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

func TestFailingDeliveryIsRetriedByPlanAndThenParked(t *testing.T) {
	var at []time.Duration
	var attempts []int
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			at, attempts = append(at, time.Since(s.start)), append(attempts, d.Attempt)
			return errors.New("no")
		})
	}, func(s *stage) {
		m := text("x")
		m.SetHeader("mine", "kept")
		m.CorrelationID, m.AppID, m.Kind = "c", "svc", parley.KindEvent
		s.publish(m)
		s.wait(time.Hour)
		for i, want := range []time.Duration{0, 100 * time.Millisecond, 1100 * time.Millisecond, 11100 * time.Millisecond, 71100 * time.Millisecond, 671100 * time.Millisecond} {
			if i >= len(at) || at[i] < want*7/10 || at[i] > want*13/10 {
				t.Fatalf("tried at %v, want about 0, 0.1s, 1.1s, 11s, 71s, 671s", at)
			}
		}
		if !slices.Equal(attempts, []int{1, 2, 3, 4, 5, 6}) {
			t.Errorf("attempts %v, want 1 to 6", attempts)
		}
		parked := s.parked()
		if len(parked) != 1 {
			t.Fatalf("%d parked, want 1", len(parked))
		}
		d := parked[0]
		if d.ID != "id-x" || d.CorrelationID != "c" || d.AppID != "svc" || d.Kind != parley.KindEvent || d.Header("mine") != "kept" || string(d.Body) != "x" {
			t.Errorf("parked message has lost properties: %+v", d.Message)
		}
		for name, want := range map[string]string{"parley-exchange": "user", "parley-routing-key": "k", "parley-attempts": "6", "parley-first-error": "no", "parley-parked-reason": "no"} {
			if got := d.Header(name); got != want {
				t.Errorf("header %s is %q, want %q", name, got, want)
			}
		}
		s.wantOutcomes(parley.OutcomeRetried, parley.OutcomeRetried, parley.OutcomeRetried, parley.OutcomeParked)
	})
}

func TestKillSwitchPausesInsteadOfRetryingEverything(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var tries atomic.Int64
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			tries.Add(1)
			if down.Load() {
				return errors.New("database down")
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		for i := range 10_000 {
			s.publish(text(fmt.Sprint(i)))
		}
		s.wait(time.Minute)
		if n := tries.Load(); n > 300 {
			t.Errorf("tried %d times in a minute of outage", n)
		}
		if err := s.consumer.Health(); err == nil || !strings.Contains(err.Error(), "database down") {
			t.Errorf("health %v, want the cause", err)
		}
		down.Store(false)
		s.wait(11 * time.Minute) // the longest delay, for what had failed
		if n := len(s.notes()); n != 10_000 {
			t.Errorf("handled %d, want all 10000", n)
		}
		if err := s.consumer.Health(); err != nil {
			t.Errorf("health after the outage: %v", err)
		}
	})
}

func TestHandlerThatIgnoresItsContextIsReportedAndMakesTheConsumerUnhealthy(t *testing.T) {
	release := make(chan struct{})
	var stuck atomic.Int64
	cfg := &parley.ConsumerConfig{Concurrency: 2, HandlerTimeout: time.Minute, MaxStuck: 2}
	cfg.Hooks.Stuck = func(*parley.Delivery, time.Duration) { stuck.Add(1) }
	onStage(t, cfg, func(s *stage) {
		release = make(chan struct{})
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if strings.HasPrefix(string(d.Body), "stuck") {
				<-release
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		s.publish(text("stuck1"))
		s.wait(2 * time.Minute)
		s.publish(text("good1"), text("good2"))
		s.wait(time.Second)
		if n := len(s.notes()); n != 2 {
			t.Errorf("handled %d beside a stuck handler, want 2", n)
		}
		if err := s.consumer.Health(); err != nil {
			t.Errorf("one stuck handler of two allowed: %v", err)
		}
		s.publish(text("stuck2"))
		s.wait(2 * time.Minute)
		if err := s.consumer.Health(); err == nil || stuck.Load() != 2 {
			t.Errorf("health %v after %d reports, want an error after 2", err, stuck.Load())
		}
		close(release)
		s.wait(time.Second)
		if err := s.consumer.Health(); err != nil {
			t.Errorf("after they have returned: %v", err)
		}
		s.publish(text("good3"))
		s.wait(time.Second)
		if n := len(s.notes()); n != 5 {
			t.Errorf("handled %d in all, want 5: %v", n, s.notes())
		}
	})
}

func TestBodiesInHandAreBounded(t *testing.T) {
	var now, peak atomic.Int64
	onStage(t, &parley.ConsumerConfig{MaxBytes: 1000, Concurrency: 16}, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			peak.Store(max(peak.Load(), now.Add(int64(len(d.Body)))))
			time.Sleep(time.Second)
			now.Add(-int64(len(d.Body)))
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		for i := range 10 {
			s.publish(text(strings.Repeat(fmt.Sprint(i), 400)))
		}
		s.publish(text(strings.Repeat("x", 3000))) // larger than the budget: alone
		s.wait(time.Minute)
		if len(s.notes()) != 11 || peak.Load() != 3000 {
			t.Errorf("handled %d with at most %d bytes in hand, want 11 with 3000", len(s.notes()), peak.Load())
		}
	})
}

func TestStopFinishesRunningHandlersAndReturnsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		s.router.HandleFunc("user", "k", func(ctx context.Context, d *parley.Delivery) error {
			time.Sleep(10 * time.Second)
			s.note(d)
			return ctx.Err()
		})
		s.begin(&parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Concurrency: 2, Logger: quiet})
		for i := range 5 {
			s.publish(text(fmt.Sprint(i)))
		}
		s.wait(time.Second)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if n := len(s.notes()); n != 2 || time.Since(s.start) > 11*time.Second {
			t.Errorf("finished %d after %v, want the 2 running ones after 10s", n, time.Since(s.start))
		}
		s.begin(&parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Concurrency: 2, Logger: quiet})
		s.wait(time.Minute)
		if n := len(s.notes()); n != 5 {
			t.Errorf("handled %d in all, want 5", n)
		}
		_ = s.stop()
	})
}

func TestTooShortKillSwitchWindowIsRefused(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("user", "#", func(context.Context, *parley.Delivery) error { return nil })
	}, func(s *stage) {
		_, err := parley.NewConsumer(s.broker, s.router, &parley.ConsumerConfig{Queue: "q2", KillSwitch: parley.KillSwitchConfig{Window: 5}})
		if err == nil {
			t.Error("KillSwitch.Window 5ns accepted; note divides by zero")
		}
	})
}

func TestConsumerWithoutAnyHandlerRefusesToStart(t *testing.T) {
	_, err := parley.NewConsumer(memory.NewBroker(nil), parley.NewRouter(), &parley.ConsumerConfig{Queue: "q"})
	if err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Errorf("got %v, want an error about the missing handler", err)
	}
}
