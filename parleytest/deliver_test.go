package parleytest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type user struct {
	ID   int64  `json:"id"`
	Name string `json:"full_name"`
}

var (
	renamed = parley.NewEvent[user]("user", "renamed")
	deleted = parley.NewEvent[user]("user", "deleted")
)

func TestDeliverReturnsWhatTheHandlerReturns(t *testing.T) {
	refused := errors.New("refused")
	var got []parley.Event[user]
	r := parley.NewRouter()
	parley.On(r, renamed, func(_ context.Context, e parley.Event[user]) error {
		got = append(got, e)
		switch e.Payload.Name {
		case "refused":
			return refused
		case "ignored":
			return parley.Ignore(refused)
		case "panics":
			panic("oh")
		}
		return nil
	})
	deliver := func(name string) error {
		return parleytest.Deliver(t, r, parleytest.NewEventMessage(t, renamed, user{7, name}, parley.WithHeader("h", "v")))
	}
	if err := deliver("Ada"); err != nil {
		t.Errorf("a valid message: %v", err)
	}
	if err := deliver("refused"); !errors.Is(err, refused) {
		t.Errorf("a handler's error was returned as %v", err)
	}
	if err := deliver("ignored"); err != nil {
		t.Errorf("a message that its handler ignores: %v", err)
	}
	if p, ok := errors.AsType[*parley.PanicError](deliver("panics")); !ok || p.Value != "oh" {
		t.Errorf("a handler's panic was returned as %v", p)
	}
	if len(got) != 4 {
		t.Fatalf("the handler ran %d times for 4 messages", len(got))
	}
	e := got[0]
	if e.Payload != (user{7, "Ada"}) || e.ID <= 0 || e.Time.IsZero() || e.Delivery.Header("h") != "v" || got[1].ID <= e.ID {
		t.Errorf("the handler got %+v", e)
	}
}

func TestDeliverReportsMessagesWithoutARouteOrAReadableBody(t *testing.T) {
	r := parley.NewRouter()
	parley.On(r, renamed, func(context.Context, parley.Event[user]) error {
		t.Error("the handler ran")
		return nil
	})
	err := parleytest.Deliver(t, r, parleytest.NewEventMessage(t, deleted, user{}))
	if err == nil || !strings.Contains(err.Error(), `"deleted"`) {
		t.Errorf("a message without a route: %v, want an error that names it", err)
	}
	bad := parleytest.NewEventMessage(t, renamed, user{})
	bad.Body = []byte(`{"eventId": 1,`)
	if _, ok := errors.AsType[*parley.MalformedError](parleytest.Deliver(t, r, bad)); !ok {
		t.Errorf("broken JSON was not reported as a MalformedError")
	}
}

func TestNewDeliveryRecordsItsSettlement(t *testing.T) {
	d, settled := parleytest.NewDelivery(parley.Message{Exchange: "user", ID: "1"})
	if how, ok := settled.Settlement(); ok {
		t.Errorf("an unsettled delivery reports the settlement %v", how)
	}
	if err := d.Settle(parley.SettleRequeue); err != nil {
		t.Fatal(err)
	}
	if how, ok := settled.Settlement(); !ok || how != parley.SettleRequeue {
		t.Errorf("a requeued delivery reports %v, %t", how, ok)
	}
	if err := d.Settle(parley.SettleAck); !errors.Is(err, parley.ErrSettled) {
		t.Errorf("settle again: %v, want ErrSettled", err)
	}
}

// publish commits one transaction with two events and rolls one with another back.
func publish(t *testing.T, store *memory.Store) {
	t.Helper()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	record := func(name string, fails error) error {
		return store.InTx(t.Context(), func(tx *memory.Tx) error {
			_, err := parley.Publish(t.Context(), outbox.In(tx), renamed, user{1, name})
			_, err2 := parley.Publish(t.Context(), outbox.In(tx), deleted, user{2, name})
			return errors.Join(err, err2, fails)
		})
	}
	if err := record("Ada", nil); err != nil {
		t.Fatal(err)
	}
	if err := record("Bob", errors.New("rolled back")); err == nil {
		t.Fatal("the second transaction did not fail")
	}
}

func TestPublishedReadsWhatWasCommittedAndWhatWasSent(t *testing.T) {
	store, broker := memory.NewStore(), memory.NewBroker(nil)
	publish(t, store)
	committed := parleytest.Published(t, store, renamed)
	if len(committed) != 1 || committed[0].Payload != (user{1, "Ada"}) || committed[0].ID != 1 {
		t.Errorf("the store has %+v, want the event of the transaction that committed", committed)
	}
	if n := len(parleytest.Published(t, broker, renamed)); n != 0 {
		t.Errorf("before the relay the broker has %d events", n)
	}
	relay, err := parley.NewRelay(store, broker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := parleytest.Published(t, broker, deleted)
	if len(sent) != 1 || sent[0].Payload != (user{2, "Ada"}) || sent[0].Aggregate != "user" || sent[0].Type != "deleted" {
		t.Errorf("the broker has %+v", sent)
	}
	if n := len(parleytest.Published(t, store, renamed)); n != 0 {
		t.Errorf("after the relay the store has %d events", n)
	}
}
