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

var accountRenamed = parley.NewEvent[account]("account", "renamed")

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

// The author of a broker driver runs the promises that every broker keeps.
func ExampleTestBroker() {
	_ = func(t *testing.T) {
		parleytest.TestBroker(t, func(*testing.T) parley.Broker { return memory.NewBroker(nil) })
	}
}
