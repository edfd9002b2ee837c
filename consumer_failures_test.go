package parley_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

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
