package parley_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestOutcomesByReturnedError(t *testing.T) {
	cases := map[string]struct {
		err  error
		want parley.Outcome
	}{
		"nil":       {nil, parley.OutcomeHandled},
		"ignore":    {parley.Ignore(errors.New("x")), parley.OutcomeIgnored},
		"park":      {parley.Park(errors.New("x")), parley.OutcomeParked},
		"malformed": {&parley.MalformedError{Part: "body", Err: errors.New("x")}, parley.OutcomeParked},
		"after":     {parley.RetryAfter(30*time.Second, errors.New("x")), parley.OutcomeRetried},
		"permanent": {io.ErrUnexpectedEOF, parley.OutcomeParked},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := &parley.ConsumerConfig{Retry: parley.RetryPolicy{Permanent: func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }}}
			onStage(t, cfg, func(s *stage) {
				s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return c.err })
			}, func(s *stage) {
				s.publish(text("x"))
				s.wait(time.Second / 20)
				s.wantOutcomes(c.want)
				if name == "after" && s.reports[0].Delay != time.Minute {
					t.Errorf("RetryAfter(30s) waits %v, want the next longer delay, 1m", s.reports[0].Delay)
				}
			})
		})
	}
}

func TestFailedDeliveryStaysInHandUntilItsCopyIsSafe(t *testing.T) {
	onStage(t, &parley.ConsumerConfig{Retry: parley.NoRetry}, func(s *stage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			s.note(d)
			return errors.New("no")
		})
	}, func(s *stage) {
		s.publish(text("x"))
		s.broker.RejectNext(3)
		s.wait(100 * time.Millisecond)
		if n := s.consumer.InHand(); n != 1 {
			t.Errorf("%d deliveries are in hand while the copy is not stored, want 1", n)
		}
		s.wait(time.Minute)
		if n := s.consumer.InHand(); n != 0 {
			t.Errorf("%d deliveries are in hand at the end", n)
		}
		if n := len(s.notes()); n != 1 {
			t.Errorf("handled %d times, want once: only the move is retried", n)
		}
		if n := len(s.parked()); n != 1 {
			t.Errorf("%d parked, want 1", n)
		}
	})
}

func TestUnhandledDeliveriesAreAckedOrParked(t *testing.T) {
	for policy, want := range map[parley.UnhandledPolicy]parley.Outcome{parley.UnhandledAck: parley.OutcomeUnhandled, parley.UnhandledPark: parley.OutcomeParked} {
		onStage(t, &parley.ConsumerConfig{Unhandled: policy}, func(s *stage) {
			s.router.HandleFunc("other", "k", func(context.Context, *parley.Delivery) error { return nil })
		}, func(s *stage) {
			s.publish(text("x"))
			s.wait(time.Second)
			s.wantOutcomes(want)
		})
	}
}
