package parley

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A failingAcker answers each settlement with its error.
type failingAcker struct{ err error }

func (a failingAcker) Settle(Settlement) error { return a.err }

// settling returns a consumer that writes its log to a buffer, and the number of stale deliveries it reports.
func settling() (c *Consumer, log *bytes.Buffer, stale *int) {
	c, log, stale = &Consumer{}, &bytes.Buffer{}, new(int)
	c.cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	c.cfg.Hooks.Stale = func(*Delivery) { *stale++ }
	return c, log, stale
}

func TestADeliveryOfAnEndedSessionIsReportedAsStaleAndNotAsAnError(t *testing.T) {
	c, log, stale := settling()
	c.settle(t.Context(), &job{d: NewDelivery(Message{}, "q", false, failingAcker{ErrStale})}, SettleAck)
	if *stale != 1 || log.Len() != 0 || c.settled.Load() != 0 {
		t.Errorf("%d stale, log %q, %d settled; want one stale delivery and nothing else", *stale, log, c.settled.Load())
	}
}

func TestASettlementThatFailsIsLoggedWithTheDeliveryInPrintableText(t *testing.T) {
	c, log, stale := settling()
	m := Message{Exchange: "user", RoutingKey: "a\x1b[2Jb", ID: strings.Repeat("x", 200)}
	c.settle(context.Background(), &job{d: NewDelivery(m, "q", false, failingAcker{errors.New("frame too large")})}, SettleAck)
	for _, want := range []string{"level=WARN", "queue=q", "exchange=user", "frame too large"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: %s", want, log)
		}
	}
	if strings.Contains(log.String(), "\x1b") || strings.Contains(log.String(), m.ID) {
		t.Errorf("the log shows a control character, or an id of 200 bytes: %q", log)
	}
	if *stale != 0 || c.settled.Load() != 0 {
		t.Errorf("%d stale and %d settled, want none", *stale, c.settled.Load())
	}
}

func TestOnlyARetriedDeliveryIsReportedWithADelay(t *testing.T) {
	var got ConsumerReport
	c := &Consumer{}
	j := &job{d: NewDelivery(Message{}, "q", false, nil), tries: 2, took: time.Second, row: &rowClaim{}}
	c.report(j, OutcomeRetried, verdict{}) // without a hook
	c.cfg.Hooks.Done = func(r ConsumerReport) { got = r }
	no := errors.New("no")
	for _, outcome := range []Outcome{OutcomeRetried, OutcomeParked} {
		c.report(j, outcome, verdict{wait: time.Minute, err: no})
		want := ConsumerReport{Delivery: j.d, Outcome: outcome, Err: no, Took: time.Second, Attempts: 2, FromStore: true}
		if outcome == OutcomeRetried {
			want.Delay = time.Minute
		}
		if got != want {
			t.Errorf("%s: reported %+v, want %+v", outcome, got, want)
		}
	}
}
