package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestRolledBackEventIsNeverSent(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		stop := errors.New("no")
		err := w.store.InTx(ctx, func(tx *memory.Tx) error {
			if _, err := parley.Publish(ctx, w.outbox.In(tx), userRenamed, user{ID: 1}); err != nil {
				t.Fatal(err)
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := w.received(); len(got) != 0 {
			t.Errorf("received %d events, want none", len(got))
		}
	})
}

func TestCancelPreventsWhatItCounts(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		at := parley.WithDueAt(time.Now().Add(time.Minute))
		w.publish(ctx, user{ID: 1}, at, parley.WithTags(parley.Tags{"user_id": 1, "kind": "photo"}))
		w.publish(ctx, user{ID: 2}, at, parley.WithTags(parley.Tags{"user_id": true}))
		err := w.store.InTx(ctx, func(tx *memory.Tx) error {
			n, err := parley.Cancel(ctx, w.outbox.In(tx), userRenamed, parley.Tags{"user_id": "1"})
			if n != 1 {
				t.Errorf("cancelled %d, want 1", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.received(); len(got) != 1 || got[0].Payload.ID != 2 {
			t.Errorf("received %+v, want only user 2", got)
		}
	})
}

func TestEmptyTagsAreRefused(t *testing.T) {
	w := newWorld(t)
	tx, _ := w.store.Begin(t.Context())
	if _, err := parley.Cancel(t.Context(), w.outbox.In(tx), userRenamed, parley.Tags{}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestBadInputIsATypedErrorAndTheTransactionStaysUsable(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	tx, _ := w.store.Begin(ctx)
	in := w.outbox.In(tx)
	text := parley.NewEvent[string]("user", "text")
	raw := parley.NewEvent[json.RawMessage]("user", "raw")
	_, nan := parley.Publish(ctx, in, userRenamed, user{Score: math.NaN()})
	_, nul := parley.Publish(ctx, in, text, "a\x00b")
	_, big := parley.Publish(ctx, in, text, strings.Repeat("x", parley.MaxBody))
	_, bad := parley.Publish(ctx, in, raw, json.RawMessage(`{"a":`))
	_, surrogate := parley.Publish(ctx, in, raw, json.RawMessage(`"\ud800"`))
	_, id := parley.Publish(ctx, in, text, "a", parley.WithMessageID(strings.Repeat("é", 128)))
	_, raw2 := in.Record(ctx, parley.Record{Message: parley.Message{Exchange: "user", Body: []byte("\xff")}})
	_, app := in.Record(ctx, parley.Record{Message: parley.Message{Exchange: "user", AppID: "a\x00b", Body: []byte("{}")}})
	_, late := parley.SendTx(ctx, in, sendSMS, sms{}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithExpiresIn(time.Minute))
	_, tags := parley.Publish(ctx, in, text, "a", parley.WithTags(parley.Tags{"a": 1}))
	for name, err := range map[string]error{"NaN": nan, "U+0000": nul, "big": big, "bad JSON": bad, "lone surrogate": surrogate, "message id": id, "tags without a time": tags, "raw bytes": raw2, "app id": app, "expires before it is sent": late} {
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := parley.Publish(ctx, in, userRenamed, user{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil || len(w.store.Pending()) != 1 {
		t.Errorf("commit: %v, %d pending, want 1", err, len(w.store.Pending()))
	}
}
