package parley_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// Messages that say nothing about the dependency must not cost a pause each: after an outage the queue may begin with a thousand of them.
func TestAProbeThatSaysNothingIsFollowedByTheNextDelivery(t *testing.T) {
	for _, kind := range []string{"ignored", "parked", "unhandled"} {
		t.Run(kind, func(t *testing.T) {
			var down atomic.Bool
			down.Store(true)
			onRows(t, nil, func(s *rowStage) {
				handle := func(_ context.Context, d *parley.Delivery) error {
					if down.Load() && d.Header("old") == "" {
						return errors.New("down")
					}
					switch {
					case d.Header("old") == "":
					case kind == "ignored":
						return parley.Ignore(parley.ErrExpired) // as an expired command does
					case kind == "parked":
						return parley.Park(errors.New("malformed"))
					}
					s.note(d)
					return nil
				}
				s.router.HandleFunc("user", "k", handle)
			}, func(s *rowStage) {
				for i := range 40 {
					s.publish(text(fmt.Sprint("m", i)))
				}
				s.wait(time.Minute)
				for i := range 200 {
					m := text(fmt.Sprint("old", i))
					m.SetHeader("old", "1")
					m.Exchange, m.RoutingKey = "user", "k"
					if kind == "unhandled" {
						m.RoutingKey = "unknown"
					}
					s.publish(m)
				}
				s.publish(text("good"))
				s.wait(10 * time.Minute) // the outage
				down.Store(false)
				s.wait(10 * time.Minute)
				if n := len(s.broker.Messages("q")); n > 0 {
					t.Errorf("%d messages are in the queue 10 minutes after the outage", n)
				}
				if s.consumer.Health() != nil {
					t.Error("still paused 10 minutes after the outage")
				}
			})
		})
	}
}
