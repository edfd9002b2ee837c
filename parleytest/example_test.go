package parleytest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

type account struct {
	Name string `json:"name"`
}

var (
	accountRenamed  = parley.NewEvent[account]("account", "renamed")
	accountWelcomed = parley.NewEvent[account]("account", "welcomed")
)

// A test of a handler needs no broker.
func ExampleDeliver() {
	_ = func(t *testing.T) { // func TestAUserWithoutANameIsParked(t *testing.T)
		r := parley.NewRouter()
		parley.On(r, accountRenamed, func(_ context.Context, e parley.Event[account]) error {
			if e.Payload.Name == "" {
				return parley.Park(errors.New("no name"))
			}
			return nil
		})
		if err := parleytest.Deliver(t, r, parleytest.NewEventMessage(t, accountRenamed, account{})); err == nil {
			t.Error("a user without a name was accepted")
		}
	}
}

// A test of code that publishes reads what was committed.
func ExamplePublished() {
	_ = func(t *testing.T) {
		store := memory.NewStore()
		outbox, err := parley.NewOutbox(store, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = store.InTx(t.Context(), func(tx *memory.Tx) error {
			_, err := parley.Publish(t.Context(), outbox.In(tx), accountRenamed, account{"Ada"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if events := parleytest.Published(t, store, accountRenamed); len(events) != 1 || events[0].Payload.Name != "Ada" {
			t.Errorf("published %v", events)
		}
	}
}

// A test of a handler in a transaction needs no server. For a handler that takes a *sql.Tx, use a *sqlite.Store on
// a file in t.TempDir(); for a service.Tx, a service with the database "memory:" or "sqlite:".
func ExampleHarness() {
	_ = func(t *testing.T) { // func TestARenamedAccountIsWelcomedOnce(t *testing.T)
		h := parleytest.NewHarness(t, memory.NewStore())
		parley.OnTx(h.Router, h.Inbox, accountRenamed, func(ctx context.Context, tx *memory.Tx, e parley.Event[account]) error {
			if e.Payload.Name == "" {
				return parley.Park(errors.New("no name"))
			}
			_, err := parley.Publish(ctx, h.Outbox.In(tx), accountWelcomed, e.Payload)
			return err
		})
		ada := parleytest.NewEventMessage(t, accountRenamed, account{"Ada"})
		for range 2 { // the second delivery is a duplicate: it is acked, and the handler does not run
			if err := h.Deliver(ada); err != nil {
				t.Error(err)
			}
		}
		if got := parleytest.Published(t, h, accountWelcomed); len(got) != 1 {
			t.Errorf("welcomed %d times, want once", len(got))
		}
		if err := h.Deliver(parleytest.NewEventMessage(t, accountRenamed, account{})); !parley.DefaultRetry.Parks(err) {
			t.Errorf("an account without a name: %v, want that it is parked", err)
		}
	}
}

// A handler for a transaction type of your own, here a set of repositories, is tested with a fake of it.
func ExampleTxStore() {
	type accounts struct{ names []string } // the fake
	_ = func(t *testing.T) {               // func TestARenamedAccountIsSaved(t *testing.T)
		saved := &accounts{}
		store := parleytest.NewTxStore(func(_ context.Context, fn func(tx *accounts) error) error { return fn(saved) })
		h := parleytest.NewHarness(t, store)
		parley.OnTx(h.Router, h.Inbox, accountRenamed, func(_ context.Context, tx *accounts, e parley.Event[account]) error {
			tx.names = append(tx.names, e.Payload.Name)
			return nil
		})
		if err := h.Deliver(parleytest.NewEventMessage(t, accountRenamed, account{"Ada"})); err != nil || len(saved.names) != 1 {
			t.Errorf("saved %q (%v)", saved.names, err)
		}
	}
}

// The author of a broker driver runs the promises that every broker keeps.
func ExampleTestBroker() {
	_ = func(t *testing.T) {
		parleytest.TestBroker(t, func(*testing.T) parley.Broker { return memory.NewBroker(nil) })
	}
}
