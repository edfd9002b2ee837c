package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestExclusiveAndDeletedQueuesLeaveNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "q", TTL: time.Second, DeadLetterTo: "dead"}, parley.Queue{Name: "dead"})
		publish(t, b, to("q", 2)...)
		s := subscribe(t, b, "q", 1)
		held := next(t, s)
		if err := b.DeleteQueue(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		if err := held.Settle(parley.SettleRequeue); err == nil {
			t.Error("a delivery of a deleted queue can be settled")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantWaiting(t, b, "dead")
	})
}
