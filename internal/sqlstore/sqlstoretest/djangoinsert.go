package sqlstoretest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// DjangoInsert checks what is written to Django's table, and what is refused. open returns a store on a new database with the table of
// a version, "2.5" or "2.6".
func DjangoInsert[Tx any](t *testing.T, open func(t *testing.T, version string) (DjangoStore[Tx], InTx[Tx])) {
	d := djangoInsert[Tx]{open}
	t.Run("ARefusedRecordAmongOthersWritesNothing", d.refused)
}

type djangoInsert[Tx any] struct {
	open func(t *testing.T, version string) (DjangoStore[Tx], InTx[Tx])
}

// record records within one transaction, which is committed although Record may return an error. It returns that error.
func record[Tx any](t *testing.T, store DjangoStore[Tx], inTx InTx[Tx], records ...parley.Record) (refused error) {
	t.Helper()
	outbox, err := parley.NewOutbox[Tx](store, nil)
	if err == nil {
		err = inTx(t.Context(), func(tx Tx) error {
			_, refused = outbox.In(tx).Record(t.Context(), records...)
			return nil
		})
	}
	if err != nil {
		t.Fatalf("the transaction is not usable: %v (Record returned %v)", err, refused)
	}
	return refused
}

// wantRefused expects an error that matches ErrInvalid and contains the texts, and no row.
func wantRefused(t *testing.T, what string, store parley.OutboxInspector, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("%s: %v, want an error that matches ErrInvalid", what, err)
	}
	for _, text := range texts {
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error %q does not contain %q", what, err, text)
		}
	}
	if st, err := store.Stats(t.Context()); err != nil || st.Due+st.Scheduled != 0 {
		t.Errorf("%s: refused, but the table has %d rows (%v)", what, st.Due+st.Scheduled, err)
	}
}

func (d djangoInsert[Tx]) refused(t *testing.T) {
	good := made(renamed.Record(user{"Ann"}))(t)
	long := made(parley.NewEvent[user](strings.Repeat("é", 65), "renamed").Record(user{}))(t)
	tags := parley.Tags{"a": 1}
	unless := made(parley.NewEvent[user](strings.Repeat("é", 65), "remind").Record(user{}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithUnlessTags(tags)))(t)
	for what, bad := range map[string]parley.Record{"a long exchange": long, "a long exchange with a condition": unless} {
		store, inTx := d.open(t, "2.6")
		wantRefused(t, what, store, record(t, store, inTx, good, bad), "64 characters")
	}
}

// made returns the record, and fails the test if it could not be made.
func made(r parley.Record, err error) func(t *testing.T) parley.Record {
	return func(t *testing.T) parley.Record {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}
