package parley_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestPanicsAndGoexitCountAsErrors(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("oh") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			onStage(t, &parley.ConsumerConfig{Concurrency: 1, Retry: parley.NoRetry}, func(s *stage) {
				s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
					if string(d.Body) == "bad" {
						end()
					}
					s.note(d)
					return nil
				})
			}, func(s *stage) {
				s.publish(text("bad"), text("good"))
				s.wait(time.Second)
				s.wantOutcomes(parley.OutcomeParked, parley.OutcomeHandled)
				if len(s.parked()) != 1 {
					t.Errorf("the bad message is not parked")
				}
			})
		})
	}
}

func TestHandlerTimesOutThroughItsContext(t *testing.T) {
	onStage(t, &parley.ConsumerConfig{HandlerTimeout: time.Minute, Retry: parley.NoRetry}, func(s *stage) {
		s.router.HandleFunc("user", "k", func(ctx context.Context, _ *parley.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		})
	}, func(s *stage) {
		s.publish(text("x"))
		s.wait(61 * time.Second)
		s.wantOutcomes(parley.OutcomeParked)
		if len(s.reports) == 1 && !strings.Contains(s.reports[0].Err.Error(), "did not return in time") {
			t.Errorf("error %v does not name the timeout", s.reports[0].Err)
		}
	})
}

// If every handler hangs, several attempts in the process would exceed the broker's consumer_timeout.
func TestAHandlerThatTimedOutIsRetriedFromTheRetryQueueOnly(t *testing.T) {
	immediate := []time.Duration{time.Second, time.Second}
	for name, c := range map[string]struct {
		delays []time.Duration
		tries  int64
	}{
		"with a retry queue":    {[]time.Duration{10 * time.Second}, 2},
		"without a retry queue": {[]time.Duration{}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			policy := parley.RetryPolicy{Immediate: immediate, Delays: c.delays}
			onStage(t, &parley.ConsumerConfig{HandlerTimeout: time.Minute, Retry: policy}, func(s *stage) {
				s.router.HandleFunc("user", "k", func(ctx context.Context, _ *parley.Delivery) error {
					tries.Add(1)
					<-ctx.Done()
					return ctx.Err()
				})
			}, func(s *stage) {
				s.publish(text("x"))
				s.wait(10 * time.Minute)
				if tries.Load() != c.tries {
					t.Errorf("tried %d times, want %d", tries.Load(), c.tries)
				}
				if n := len(s.reports); n == 0 || s.reports[n-1].Outcome != parley.OutcomeParked {
					t.Errorf("reports %v, want the message parked in the end", s.reports)
				}
			})
		})
	}
}
