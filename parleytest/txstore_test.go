package parleytest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/parleytest"
)

func TestATxStoreRecordsOnlyWhatTheUsersTransactionCommits(t *testing.T) {
	var table []string
	var lost error // of the commit
	store := parleytest.NewTxStore(func(_ context.Context, fn func(*repository) error) error {
		tx := &repository{}
		if err := fn(tx); err != nil {
			return err
		}
		if lost != nil {
			return lost
		}
		table = append(table, tx.names...)
		return nil
	})
	h := parleytest.NewHarness(t, store)
	parley.OnTx(h.Router, h.Inbox, renamed, func(ctx context.Context, tx *repository, e parley.Event[user]) error {
		tx.names = append(tx.names, e.Payload.Name)
		_, err := parley.Publish(ctx, h.Outbox.In(tx), welcomed, e.Payload)
		return err
	})
	m := parleytest.NewEventMessage(t, renamed, user{1, "Ada"})
	lost = errors.New("connection lost")
	if err := h.Deliver(m); !errors.Is(err, lost) {
		t.Errorf("a commit that fails: %v", err)
	}
	if len(table) != 0 || len(h.Published()) != 0 {
		t.Errorf("after a failed commit the table has %q and %d messages are published", table, len(h.Published()))
	}
	lost = nil
	if err := h.Deliver(m); err != nil {
		t.Error(err)
	}
	if !slices.Equal(table, []string{"Ada"}) || len(h.Published()) != 1 {
		t.Errorf("after the retry the table has %q and %d messages are published", table, len(h.Published()))
	}
}

func TestATxStoreRefusesToPublishOutsideOfATransaction(t *testing.T) {
	h := parleytest.NewHarness(t, parleytest.NewTxStore[struct{}](nil))
	in, tags := h.Outbox.In(struct{}{}), parley.Tags{"a": 1}
	_, publish := parley.Publish(t.Context(), in, welcomed, user{})
	_, cancel := parley.Cancel(t.Context(), in, welcomed, tags)
	_, move := parley.Reschedule(t.Context(), in, welcomed, tags, time.Now())
	_, list := parley.Scheduled(t.Context(), in, welcomed, tags, 1)
	for i, err := range []error{publish, cancel, move, list} {
		if err == nil {
			t.Errorf("operation %d without a transaction had no error", i)
		}
	}
}

func TestATxStoreForgetsOldIdentities(t *testing.T) {
	store := parleytest.NewTxStore[struct{}](nil)
	handle := func() error {
		return store.Once(t.Context(), "mail", "id:1", func(context.Context, struct{}) error { return nil })
	}
	if err := handle(); err != nil {
		t.Fatal(err)
	}
	if err := handle(); !errors.Is(err, parley.ErrDuplicate) {
		t.Errorf("handled twice: %v, want ErrDuplicate", err)
	}
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, 0}, {-time.Hour, 1}} {
		if n, err := store.SweepInbox(t.Context(), "mail", c.age, 10); n != c.want || err != nil {
			t.Errorf("swept %d identities older than %v (%v), want %d", n, c.age, err, c.want)
		}
	}
	if err := handle(); err != nil {
		t.Errorf("after the sweep: %v", err)
	}
}
