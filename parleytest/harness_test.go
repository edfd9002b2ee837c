package parleytest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

var welcomed = parley.NewEvent[user]("mail", "welcomed")

// greet registers a handler that publishes an event for each renamed user, and then returns what outcome returns.
func greet[Tx any](h *parleytest.Harness[Tx], outcome func(u user) error, options ...parley.PublishOption) {
	parley.OnTx(h.Router, h.Inbox, renamed, func(ctx context.Context, tx Tx, e parley.Event[user]) error {
		if _, err := parley.Publish(ctx, h.Outbox.In(tx), welcomed, e.Payload, options...); err != nil {
			return err
		}
		return outcome(e.Payload)
	})
}

func accept(user) error { return nil }

// onEachStore runs a test on the two stores that need no database.
func onEachStore(t *testing.T, onMemory func(*testing.T, *parleytest.Harness[*memory.Tx]), onFake func(*testing.T, *parleytest.Harness[*repository])) {
	t.Run("memory", func(t *testing.T) { onMemory(t, parleytest.NewHarness(t, memory.NewStore())) })
	t.Run("TxStore", func(t *testing.T) {
		store := parleytest.NewTxStore(func(_ context.Context, fn func(*repository) error) error { return fn(&repository{}) })
		onFake(t, parleytest.NewHarness(t, store))
	})
}

// A repository is a transaction type of a user.
type repository struct{ names []string }

func TestAHarnessCommitsWhatAHandlerPublishes(t *testing.T) {
	onEachStore(t, commits[*memory.Tx], commits[*repository])
}

func commits[Tx any](t *testing.T, h *parleytest.Harness[Tx]) {
	greet(h, accept)
	if err := h.Deliver(parleytest.NewEventMessage(t, renamed, user{1, "Ada"})); err != nil {
		t.Fatal(err)
	}
	got := parleytest.Published(t, h, welcomed)
	if len(got) != 1 || got[0].Payload != (user{1, "Ada"}) || got[0].ID < 1 {
		t.Errorf("published %+v, want one event for Ada with an id", got)
	}
}

func TestAHarnessRollsBackAHandlerThatFails(t *testing.T) {
	onEachStore(t, rollsBack[*memory.Tx], rollsBack[*repository])
}

func rollsBack[Tx any](t *testing.T, h *parleytest.Harness[Tx]) {
	fails := true
	unreachable := errors.New("database unreachable")
	greet(h, func(u user) error {
		switch {
		case u.Name == "":
			return parley.Park(errors.New("no name"))
		case u.Name == "panic":
			panic("oh")
		case fails:
			return unreachable
		}
		return nil
	})
	ada := parleytest.NewEventMessage(t, renamed, user{1, "Ada"})
	err := h.Deliver(ada)
	if !errors.Is(err, unreachable) || parley.DefaultRetry.Parks(err) {
		t.Errorf("the first attempt: %v, want an error that is retried", err)
	}
	if err := h.Deliver(parleytest.NewEventMessage(t, renamed, user{2, ""})); !parley.DefaultRetry.Parks(err) {
		t.Errorf("a user without a name: %v, want an error that parks", err)
	}
	if _, ok := errors.AsType[*parley.PanicError](h.Deliver(parleytest.NewEventMessage(t, renamed, user{3, "panic"}))); !ok {
		t.Error("a panic was not returned as an error")
	}
	if got := h.Published(); len(got) != 0 {
		t.Fatalf("after three failures %d messages are published", len(got))
	}
	fails = false
	if err := h.Deliver(ada); err != nil {
		t.Errorf("the retry: %v", err)
	}
	if got := parleytest.Published(t, h, welcomed); len(got) != 1 {
		t.Errorf("after the retry %d events are published, want 1", len(got))
	}
}

func TestAHarnessRunsAHandlerOnceForADuplicate(t *testing.T) {
	onEachStore(t, handlesOnce[*memory.Tx], handlesOnce[*repository])
}

func handlesOnce[Tx any](t *testing.T, h *parleytest.Harness[Tx]) {
	calls := 0
	greet(h, func(user) error { calls++; return nil })
	m := parleytest.NewEventMessage(t, renamed, user{1, "Ada"})
	if err := errors.Join(h.Deliver(m), h.Deliver(m)); err != nil {
		t.Errorf("a duplicate: %v, want that it is acked", err)
	}
	if got := len(h.Published()); got != 1 || calls != 1 {
		t.Errorf("two deliveries of one message: %d calls, %d events, want 1 and 1", calls, got)
	}
}

func TestAHarnessShowsScheduledMessages(t *testing.T) {
	onEachStore(t, schedules[*memory.Tx], schedules[*repository])
}

func schedules[Tx any](t *testing.T, h *parleytest.Harness[Tx]) {
	due := time.Now().Add(time.Hour)
	tags := parley.Tags{"user_id": 1}
	greet(h, accept, parley.WithDueAt(due), parley.WithTags(tags), parley.WithUnlessTags(tags))
	for range 2 { // the second one is a no-op
		if err := h.Deliver(parleytest.NewEventMessage(t, renamed, user{1, "Ada"})); err != nil {
			t.Fatal(err)
		}
	}
	if got := parleytest.Published(t, h, welcomed); len(got) != 1 {
		t.Errorf("%d scheduled events, want 1", len(got))
	}
	later := due.Add(time.Hour).Truncate(time.Second)
	h.InTx(func(ctx context.Context, tx Tx) error {
		moved, err := parley.Reschedule(ctx, h.Outbox.In(tx), welcomed, tags, later)
		list, err2 := parley.Scheduled(ctx, h.Outbox.In(tx), welcomed, tags, 5)
		if moved != 1 || len(list) != 1 || !list[0].DueAt.Equal(later) {
			t.Errorf("rescheduled %d events, the list is %+v", moved, list)
		}
		return errors.Join(err, err2)
	})
	h.InTx(func(ctx context.Context, tx Tx) error {
		n, err := parley.Cancel(ctx, h.Outbox.In(tx), welcomed, parley.Tags{"user_id": 2})
		n2, err2 := parley.Cancel(ctx, h.Outbox.In(tx), welcomed, tags)
		if n != 0 || n2 != 1 {
			t.Errorf("cancelled %d events of another user and %d of this one, want 0 and 1", n, n2)
		}
		return errors.Join(err, err2)
	})
	if got := h.Published(); len(got) != 0 {
		t.Errorf("after the cancellation %d events are published", len(got))
	}
}

// onlyClaims hides Published of a memory.Store, as with a store of a driver.
type onlyClaims struct {
	parleytest.HandlerStore[*memory.Tx]
	parley.RelaySource
}

func TestAHarnessReadsAStoreWithoutTakingFromIt(t *testing.T) {
	store := memory.NewStore()
	h := parleytest.NewHarness(t, onlyClaims{store, store})
	for i, options := range [][]parley.PublishOption{
		{}, {parley.WithDueAt(time.Now().Add(-time.Hour))}, {parley.WithDueAt(time.Now().Add(time.Hour))},
	} {
		h.InTx(func(ctx context.Context, tx *memory.Tx) error {
			_, err := parley.Publish(ctx, h.Outbox.In(tx), welcomed, user{ID: int64(i)}, options...)
			return err
		})
	}
	for range 2 {
		var ids []int64
		for _, e := range parleytest.Published(t, h, welcomed) {
			ids = append(ids, e.Payload.ID)
		}
		if !slices.Equal(ids, []int64{0, 1, 2}) {
			t.Fatalf("published the events %v, want 0, then 1, which is due, then 2", ids)
		}
	}
}
