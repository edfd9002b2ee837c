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
	t.Run("AnOldTableKeepsTheKindOfAMessage", d.kinds)
	t.Run("WhatAnOldTableWouldLoseIsRefused", d.lost)
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
	store, inTx := d.open(t, "2.6")
	for what, bad := range map[string]parley.Record{"a long exchange": long, "a long exchange with a condition": unless} {
		wantRefused(t, what, store, record(t, store, inTx, good, bad), "64 characters")
	}
}

var (
	sendSMS = parley.NewCommand[map[string]any]("sms", "")
	quote   = parley.NewCall[user, user]("pricing", "quote")
)

// kinds records messages on a table without the column properties. A relay that takes a command for an event drops it if it is unroutable.
func (d djangoInsert[Tx]) kinds(t *testing.T) {
	store, inTx := d.open(t, "2.5")
	records := []parley.Record{
		made(renamed.Record(user{"Ann"}))(t),
		made(parley.NewEvent[map[string]int]("user", "counted").Record(map[string]int{"EUR": 1}))(t), // has a header for the keys of its payload
		made(sendSMS.Record(map[string]any{"id": 7}))(t),
		made(quote.Record(user{}, parley.WithReplyTo("shop")))(t),
	}
	for _, name := range []string{parley.HeaderTraceParent, parley.HeaderTraceState} {
		records[0].SetHeader(name, "a=b")
	}
	if err := record(t, store, inTx, records...); err != nil {
		t.Fatal(err)
	}
	b, err := store.Claim(t.Context(), parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(t.Context())
	if len(b.Records()) != len(records) {
		t.Fatalf("%d records, want %d", len(b.Records()), len(records))
	}
	for i, r := range b.Records() {
		if r.Kind != records[i].Kind {
			t.Errorf("the %s was read as %q with the body %s", records[i].Kind, r.Kind, r.Body)
		}
	}
}

func (d djangoInsert[Tx]) lost(t *testing.T) {
	good := made(renamed.Record(user{"Ann"}))(t)
	reply := good
	reply.ReplyTo = "answers"
	store, inTx := d.open(t, "2.5")
	today, inTxToday := d.open(t, "2.6")
	for what, c := range map[string]struct {
		record parley.Record
		name   string
	}{
		"a header":                      {made(renamed.Record(user{}, parley.WithHeader("tenant", "a")))(t), "tenant"},
		"an ordering key":               {made(renamed.Record(user{}, parley.WithKey("a")))(t), parley.HeaderKey},
		"the ordering key of a type":    {made(renamed.WithKey(func(user) string { return "a" }).Record(user{}))(t), parley.HeaderKey},
		"the header of a command":       {made(sendSMS.Record(map[string]any{}, parley.WithHeader("tenant", "a")))(t), "tenant"},
		"a reply-to":                    {reply, "answers"},
		"a command like an event":       {made(sendSMS.Record(map[string]any{"eventId": 1, "payload": 2}))(t), "command"},
		"a command without its wrapper": {parley.Record{Message: parley.Message{Exchange: "sms", Kind: parley.KindCommand, Body: []byte(`{}`)}}, "command"},
	} {
		c.record.Message.ID = what
		wantRefused(t, what, store, record(t, store, inTx, good, c.record), c.name, `"properties"`, "2.6.7")
		if err := record(t, today, inTxToday, good, c.record); err != nil {
			t.Errorf("%s: %v, although the table has the column", what, err)
		}
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
