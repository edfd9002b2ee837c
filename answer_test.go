package parley_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

// The caller has given up: with RollBackExpired the change of state and the reply are rolled back, without it both stay.
func TestACallThatExpiresWhileItIsHandledIsRolledBackIfItsRouteSaysSo(t *testing.T) {
	for name, options := range map[string][]parley.RouteOption{"without": nil, "with": {parley.RollBackExpired()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.NewStore()
				inbox, err := parley.NewInbox(store, &parley.InboxConfig{Consumer: "bank"})
				if err != nil {
					t.Fatal(err)
				}
				outbox, err := parley.NewOutbox(store, nil)
				if err != nil {
					t.Fatal(err)
				}
				pay := parley.NewCall[int, int]("bank", "pay")
				r := parley.NewRouter()
				parley.OnCall(r, inbox, outbox, pay, func(context.Context, *memory.Tx, parley.Call[int]) (int, error) {
					time.Sleep(2*time.Second + parley.ExpirySkew)
					return 1, nil
				}, options...)
				m := parleytest.NewCallMessage(t, pay, 7, parley.WithReplyTo("shop"), parley.WithExpiresIn(time.Second))
				err = parleytest.Deliver(t, r, m)
				stats, statsErr := store.Stats(t.Context())
				if statsErr != nil {
					t.Fatal(statsErr)
				}
				if want := int64(len(options)); stats.Due != 1-want {
					t.Errorf("%d replies are recorded (the handler's result is %v), want %d", stats.Due, err, 1-want)
				}
			})
		})
	}
}

// The handler publishes an event in its transaction. The second call shows that the event is sent if the handler succeeds.
func TestFailureIsAnsweredAndStateRolledBack(t *testing.T) {
	priced := parley.NewEvent[string]("pricing", "priced")
	inCallWorldTx(t, func(w *callWorld, tx *memory.Tx, c parley.Call[quoteRequest]) (quoteReply, error) {
		if _, err := parley.Publish(w.ctx, w.answers.In(tx), priced, fmt.Sprint("in call ", w.calls)); err != nil {
			return quoteReply{}, err
		}
		if w.calls == 1 {
			return quoteReply{}, parley.Fail("unknown_item", "no such item")
		}
		return double(w, c)
	}, func(w *callWorld) {
		for range 2 {
			w.ask()
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		if len(w.replies) != 2 || w.replies[0].Err == nil || w.replies[0].Err.Code != "unknown_item" || w.replies[1].Err != nil {
			t.Errorf("replies %+v, want the failure and then a success", w.replies)
		}
		var sent []string
		for _, m := range w.broker.Published() {
			if m.RoutingKey == "priced" {
				sent = append(sent, string(m.Body))
			}
		}
		if len(sent) != 1 || !strings.Contains(sent[0], "in call 2") {
			t.Errorf("events %v were sent, want that of the second call only", sent)
		}
		if stats, err := w.pricing.Stats(t.Context()); err != nil || stats != (parley.OutboxStats{}) {
			t.Errorf("the callee's outbox has %+v (%v), want nothing", stats, err)
		}
	})
}

func TestDuplicateCallIsAnsweredOnce(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		w.broker.LoseConfirms(1)
		w.ask()
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.calls != 1 || len(w.replies) != 1 {
			t.Errorf("handled %d times, %d replies; want one of each", w.calls, len(w.replies))
		}
	})
}

func TestReplyAddressFromTheNetworkIsChecked(t *testing.T) {
	in := must(parley.NewInbox(memory.NewStore(), &parley.InboxConfig{Consumer: "c"}))
	store := memory.NewStore()
	out := must(parley.NewOutbox(store, nil))
	r := parley.NewRouter()
	parley.OnCall(r, in, out, parley.NewCall[json.RawMessage, int]("pricing", "m"), func(context.Context, *memory.Tx, parley.Call[json.RawMessage]) (int, error) {
		t.Error("the handler was called")
		return 0, nil
	}, parley.ReplyExchanges("shop"))
	for _, to := range []string{"", "amq.direct", "other"} {
		body := fmt.Sprintf(`{"id": 1, "data": {}, "meta": {"time": "2023-06-02T10:58:58.340Z", "replyTo": %q}}`, to)
		if err := parleytest.Deliver(t, r, parley.Message{Exchange: "pricing", RoutingKey: "m", Body: []byte(body)}); err == nil {
			t.Errorf("reply to %q is allowed", to)
		}
	}
}
