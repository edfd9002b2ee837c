package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestMessagesExpireAtTheirTimeAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "q", TTL: time.Minute, DeadLetterTo: "dead"}, parley.Queue{Name: "dead"})
		all := to("q", 3)
		publish(t, b, all[0])
		time.Sleep(30 * time.Second)
		publish(t, b, all[1:]...)
		time.Sleep(30*time.Second - time.Millisecond)
		synctest.Wait()
		wantWaiting(t, b, "q", "0", "1", "2")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		wantWaiting(t, b, "q", "1", "2")
		wantWaiting(t, b, "dead", "0")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		wantWaiting(t, b, "q")
		wantWaiting(t, b, "dead", "0", "1", "2")
	})
}

func TestDeadLetterRecordsItsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "q", TTL: time.Second, DeadLetterTo: "dead"}, parley.Queue{Name: "dead"})
		m := to("q", 1)[0]
		m.Headers = map[string]any{"h": "v"}
		for range 2 {
			publish(t, b, m)
			time.Sleep(time.Second)
			synctest.Wait()
			got := b.Messages("dead")[0]
			m.Headers = got.Headers // republished as received
			if _, err := b.Purge(t.Context(), "dead"); err != nil {
				t.Fatal(err)
			}
		}
		deaths, _ := m.Headers["x-death"].([]any)
		if len(deaths) != 1 || m.Headers["h"] != "v" || m.Headers["x-first-death-queue"] != "q" {
			t.Fatalf("the headers are %v", m.Headers)
		}
		death, _ := deaths[0].(map[string]any)
		if death["count"] != int64(2) || death["reason"] != "expired" || death["queue"] != "q" || death["exchange"] != "ex" {
			t.Errorf("after it has expired twice the death is %v", death)
		}
	})
}

func TestExpiredWithoutADeadLetterQueueIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "plain", TTL: time.Second}, parley.Queue{Name: "q", TTL: time.Second, DeadLetterTo: "nowhere"})
		publish(t, b, to("plain", 1)...)
		publish(t, b, to("q", 1)...)
		time.Sleep(time.Second)
		synctest.Wait()
		wantWaiting(t, b, "plain")
		wantWaiting(t, b, "q")
	})
}

func TestDeadLetterCycleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t,
			parley.Queue{Name: "a", TTL: time.Second, DeadLetterTo: "b"},
			parley.Queue{Name: "b", TTL: time.Second, DeadLetterTo: "a"},
			parley.Queue{Name: "self", TTL: time.Second, DeadLetterTo: "self"})
		publish(t, b, to("a", 1)...)
		publish(t, b, to("self", 1)...)
		time.Sleep(time.Second)
		synctest.Wait()
		wantWaiting(t, b, "b", "0")
		wantWaiting(t, b, "self")
		time.Sleep(time.Second)
		synctest.Wait()
		wantWaiting(t, b, "a")
		wantWaiting(t, b, "b")
	})
}

func TestARetryQueueReturnsMessagesAsOftenAsItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "q"}, parley.Queue{Name: "q.retry.10s", TTL: 10 * time.Second, DeadLetterTo: "q"})
		s := subscribe(t, b, "q", 1)
		publish(t, b, to("q", 1)...)
		for n := range 3 {
			start := time.Now()
			d := next(t, s)
			if waited := time.Since(start); n > 0 && waited != 10*time.Second {
				t.Errorf("delivery %d has come after %v, want 10s", n, waited)
			}
			retry := d.Message
			retry.Exchange, retry.RoutingKey = "", "q.retry.10s"
			publish(t, b, retry)
			if err := d.Settle(parley.SettleAck); err != nil {
				t.Fatal(err)
			}
		}
	})
}
