package parley_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// The consumer handles several events at once, so the order is that in which the broker accepted them.
func TestRejectedRecordsAreRetriedInOrder(t *testing.T) {
	const events, rounds = 5, 2
	inBubble(t, func(ctx context.Context, w *world) {
		synctest.Wait()
		w.broker.RejectNext(rounds * events)
		var want, got []int64
		err := w.store.InTx(ctx, func(tx *memory.Tx) error {
			for range events {
				id, err := parley.Publish(ctx, w.outbox.In(tx), userRenamed, user{})
				if err != nil {
					return err
				}
				want = append(want, id)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, m := range w.broker.Published() {
			var body struct{ EventID int64 }
			if err := json.Unmarshal(m.Body, &body); err != nil {
				t.Fatal(err)
			}
			got = append(got, body.EventID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the broker accepted the events %v, want %v", got, want)
		}
		if n := len(w.received()); n != events {
			t.Errorf("received %d events, want %d", n, events)
		}
	})
}

func TestLostConfirmRepeatsWithTheSameIdentity(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		synctest.Wait()
		w.broker.LoseConfirms(1)
		w.publish(ctx, user{ID: 1})
		time.Sleep(time.Minute)
		synctest.Wait()
		got := w.received()
		if len(got) != 2 {
			t.Fatalf("received %d, want the event twice", len(got))
		}
		if got[0].Delivery.ID != got[1].Delivery.ID || got[0].Delivery.ID == "" || got[0].ID != got[1].ID {
			t.Errorf("identities differ: %q %q", got[0].Delivery.ID, got[1].Delivery.ID)
		}
	})
}

func TestPoisonRecordIsParkedAndOthersAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker = memory.NewBroker(&memory.BrokerConfig{MaxBody: 400})
		parley.On(w.router, userRenamed, w.record)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		w.run(ctx, &wg)
		w.publish(ctx, user{FirstName: strings.Repeat("x", 500)})
		w.publish(ctx, user{ID: 2})
		time.Sleep(time.Minute)
		synctest.Wait()
		parked, _ := w.store.ListParked(ctx, 0, 10)
		if len(parked) != 1 || !strings.Contains(parked[0].Reason, "limit is 400") {
			t.Errorf("parked %+v, want the big one with its reason", parked)
		}
		if got := w.received(); len(got) != 1 || got[0].Payload.ID != 2 {
			t.Errorf("received %+v, want the other one", got)
		}
		cancel()
		wg.Wait()
	})
}

// However many large messages wait, a batch stays within MaxBytes.
func TestABacklogOfLargeMessagesIsMovedWithinItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		const events = 20
		for range events {
			w.publish(t.Context(), user{FirstName: strings.Repeat("x", 4000)})
		}
		largest := 0
		relay, err := parley.NewRelay(w.store, w.broker, &parley.RelayConfig{MaxBytes: 10_000, Hooks: parley.RelayHooks{
			Batch: func(b parley.BatchReport) { largest = max(largest, b.Records) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := relay.Drain(t.Context()); moved != events || err != nil {
			t.Errorf("moved %d of %d: %v", moved, events, err)
		}
		if largest != 2 {
			t.Errorf("the largest batch had %d messages of 4000 bytes, want 2 in 10,000 bytes", largest)
		}
	})
}
