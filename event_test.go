package parley_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestCommittedEventArrivesTyped(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		id := w.publish(ctx, user{ID: 7, FirstName: "Ann", Score: 1.5})
		synctest.Wait()
		got := w.received()
		if len(got) != 1 {
			t.Fatalf("received %d events, want 1", len(got))
		}
		e := got[0]
		if e.ID != id || e.Type != "update.base" || e.Aggregate != "user" || e.Payload != (user{7, "Ann", 1.5}) {
			t.Errorf("received %+v", e)
		}
		want := fmt.Sprintf(`{"eventId": %d, "eventTime": "2000-01-01T00:00:00.000000Z", "eventType": "update.base", "aggregate": "user", "payload": {"id":7,"firstName":"Ann","score":1.5}}`, id)
		if string(e.Delivery.Body) != want {
			t.Errorf("body on the wire\n got %s\nwant %s", e.Delivery.Body, want)
		}
	})
}

func TestScheduledEventArrivesWhenItIsDue(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		due := time.Now().Add(time.Hour)
		w.publish(ctx, user{ID: 1}, parley.WithDueAt(due))
		time.Sleep(time.Hour - time.Millisecond)
		synctest.Wait()
		if n := len(w.received()); n != 0 {
			t.Fatalf("a millisecond early: received %d events, want none", n)
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		got := w.received()
		if len(got) != 1 {
			t.Fatalf("when due: received %d events, want 1", len(got))
		}
		if !got[0].Time.Equal(due) {
			t.Errorf("event time %v, want the due time %v", got[0].Time, due)
		}
	})
}

func TestImpossibleContractsPanicAtStart(t *testing.T) {
	for _, names := range [][2]string{{"", "a"}, {"amq.topic", "a"}, {strings.Repeat("x", 256), "a"}, {"a", strings.Repeat("é", 128)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewEvent(%.20q, %.20q) does not panic", names[0], names[1])
				}
			}()
			parley.NewEvent[user](names[0], names[1])
		}()
	}
}
