package parley_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// The log of one message that fails until it is parked: a warning for each attempt and one error. Only the first line has the stack.
func TestTheWholeLogOfAMessageThatFailsUntilItIsParked(t *testing.T) {
	const delivery = ` queue=q exchange=user routing_key=k message_id=7 err="handler panicked: no such account"`
	want := []string{
		`WARN consumer: delivery failed` + delivery + ` attempts=1 next="retry in Nms in this process" stack=github.com/parley-go/parley_test.charge`,
		`WARN consumer: delivery failed` + delivery + ` attempts=2 next="retry in 10s"`,
		`WARN consumer: delivery failed` + delivery + ` attempts=3 next="retry in 1m0s"`,
		`ERROR consumer: delivery parked` + delivery + ` attempts=4 next=parked`,
	}
	run := func(name string, on func(t *testing.T, cfg *parley.ConsumerConfig, routes func(*parley.Router), play func(*stage))) {
		t.Run(name, func(t *testing.T) {
			log := &lineLog{}
			cfg := &parley.ConsumerConfig{Logger: slog.New(log), Retry: parley.RetryPolicy{
				Immediate: []time.Duration{100 * time.Millisecond}, Delays: []time.Duration{10 * time.Second, time.Minute},
			}}
			on(t, cfg, func(r *parley.Router) {
				r.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { charge("no such account"); return nil })
			}, func(s *stage) {
				m := text("x")
				m.ID = "7"
				s.publish(m)
				s.wait(time.Hour)
				s.wantOutcomes(parley.OutcomeRetried, parley.OutcomeRetried, parley.OutcomeParked)
			})
			if got := log.all(); !slices.Equal(got, want) {
				t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	run("without a database", func(t *testing.T, cfg *parley.ConsumerConfig, routes func(*parley.Router), play func(*stage)) {
		onStage(t, cfg, func(s *stage) { routes(s.router) }, play)
	})
	run("with a database", func(t *testing.T, cfg *parley.ConsumerConfig, routes func(*parley.Router), play func(*stage)) {
		onRows(t, cfg, func(s *rowStage) { routes(s.router) }, func(s *rowStage) { play(s.stage) })
	})
}

func TestALogLineHasAtMost500BytesOfAnError(t *testing.T) {
	log := &lineLog{}
	onStage(t, &parley.ConsumerConfig{Logger: slog.New(log), Retry: parley.NoRetry}, func(s *stage) {
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error {
			return errors.New(strings.Repeat("insert into t values (?), ", 60_000))
		})
	}, func(s *stage) {
		s.publish(text("x"))
		s.wait(time.Second)
	})
	lines := log.all()
	if len(lines) != 1 || len(lines[0]) > 700 {
		t.Errorf("%d lines, the first one of %d bytes, want one of at most 700", len(lines), len(strings.Join(lines, "")))
	}
}

// charge fails as a bug does.
func charge(problem string) { panic(problem) }

// lineLog is a slog.Handler that keeps the lines of level INFO and above, without the time. Random durations become N, and a stack is the
// function that it begins with.
type lineLog struct {
	mu    sync.Mutex // guards the field below
	lines []string
}

func (l *lineLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *lineLog) WithAttrs([]slog.Attr) slog.Handler {
	panic("the consumer adds no attributes to its logger")
}
func (l *lineLog) WithGroup(string) slog.Handler { panic("the consumer adds no group to its logger") }

var variable = regexp.MustCompile(`\b\d+ms\b`)

func (l *lineLog) Handle(_ context.Context, r slog.Record) error {
	line := fmt.Sprintf("%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		value := a.Value.String()
		if a.Key == "stack" {
			value, _, _ = strings.Cut(value, "(") // the arguments are addresses
		} else if strings.Contains(value, " ") {
			value = `"` + variable.ReplaceAllString(value, "Nms") + `"`
		}
		line += " " + a.Key + "=" + value
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *lineLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
