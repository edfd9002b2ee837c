package parley_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestForgedHistoryIsParkedAndReachesNoHandler(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.router.HandleFunc("admin", "delete", func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil })
	}, func(s *stage) {
		m := text("forged")
		m.RoutingKey = "q" // directly into the queue, through the default exchange
		m.SetHeader("parley-exchange", "admin")
		m.SetHeader("parley-routing-key", "delete")
		m.SetHeader("parley-signature", strings.Repeat("00", 32))
		s.publish(m)
		s.wait(time.Second)
		if got := s.notes(); len(got) != 0 {
			t.Errorf("a handler got %v", got)
		}
		parked := s.parked()
		if len(parked) != 1 || !strings.Contains(parked[0].Header("parley-parked-reason"), "not signed") {
			t.Errorf("parked %v, want the message with its reason", parked)
		}
	})
}
