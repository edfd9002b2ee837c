package parley_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A pause by an operator ends the session. If the kill switch trips while its handlers finish, the first delivery after the pause is the probe.
func TestAKillSwitchThatTripsInAnOperatorsPauseClosesAfterIt(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	cfg := &parley.ConsumerConfig{Concurrency: 16}
	var db *memory.Store
	onStage(t, cfg, func(s *stage) {
		db = memory.NewStore()
		control, err := parley.NewControl(db, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Failures, cfg.Control = db.Failures(), control
		cfg.Retry = parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{10 * time.Second}}
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if down.Load() {
				time.Sleep(5 * time.Second) // a dependency that times out
				return errors.New("dependency down")
			}
			if strings.HasPrefix(string(d.Body), "bad") {
				return errors.New("bad")
			}
			s.note(d)
			return nil
		})
	}, func(s *stage) {
		for i := range 40 {
			s.publish(text(fmt.Sprint("m", i)))
		}
		s.wait(time.Second)
		queue := parley.Pause{Part: parley.PauseConsumer, Queue: "q"}
		if _, err := db.SetPause(s.ctx, queue, time.Hour); err != nil {
			t.Fatal(err)
		}
		s.wait(10 * time.Minute)
		down.Store(false)
		if _, _, err := parley.Resume(s.ctx, db, db.Failures(), queue); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		s.publish(text("bad1"))
		s.wait(time.Hour)
		st, _ := db.Failures().Stats(s.ctx, "q")
		if n := len(s.notes()); n != 40 || s.consumer.Health() != nil || s.consumer.InHand() != 0 {
			t.Errorf("an hour after the resume: handled %d of 40, health %v, rows %+v, in hand %d, unacked/ready %d", n, s.consumer.Health(), st, s.consumer.InHand(), len(s.broker.Messages("q")))
		}
	})
}

func TestAPauseThatIsShortenedEndsAtItsNewEnd(t *testing.T) {
	onPausable(t, nil, func(p *pausable) {
		what := parley.Pause{Part: parley.PauseConsumer, RoutingKey: "order.*"}
		p.pause(what, 24*time.Hour)
		m := keyed("A", "1")
		m.Exchange, m.RoutingKey = "user", "order.placed"
		p.publish(m)
		p.wait(5 * time.Second)
		p.pause(what, 5*time.Minute) // shorter
		p.wait(10 * time.Minute)
		m2 := keyed("A", "2")
		m2.Exchange, m2.RoutingKey = "user", "order.placed"
		p.publish(m2)
		p.wait(time.Hour)
		p.wantBodies("an hour after the end of the pause", "1", "2")
	})
}
