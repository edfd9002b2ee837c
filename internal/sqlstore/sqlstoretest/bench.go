package sqlstoretest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
	"github.com/parley-go/parley/parleytest"
)

// PendingVariable is the environment variable for the number of scheduled records that
// benchmarks compare with an empty table.
const PendingVariable = "PARLEY_BENCH_PENDING"

// InTx runs fn in a user's transaction.
type InTx[Tx any] func(ctx context.Context, fn func(tx Tx) error) error

// Benchmark measures operations that must not depend on the number of scheduled records: with none, and
// with 100,000 or the value of PendingVariable.
func Benchmark[Tx sqlstore.Tx](b *testing.B, open func(b *testing.B) (parleytest.Store[Tx], InTx[Tx])) {
	pending := 100_000
	if text := os.Getenv(PendingVariable); text != "" {
		var err error
		if pending, err = strconv.Atoi(text); err != nil {
			b.Fatalf("%s=%q is not a number", PendingVariable, text)
		}
	}
	for _, n := range []int{0, pending} {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			store, inTx := open(b)
			f := &fixture[Tx]{store, inTx, 0}
			f.fill(b, n)
			b.Run("insert", f.insert)
			b.Run("relay", f.relay)
			b.Run("idle-claim", f.idleClaim)
			b.Run("cancel", f.cancel)
			b.Run("reschedule", f.reschedule)
		})
	}
}

type fixture[Tx sqlstore.Tx] struct {
	store parleytest.Store[Tx]
	inTx  InTx[Tx]
	next  int
}

// reminder is due in an hour; it has one tag of its own and one common tag.
func (f *fixture[Tx]) reminder() parley.Record {
	f.next++
	return parley.Record{
		Message: parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindEvent, ID: strconv.Itoa(f.next), Body: []byte(`{"payload": {"user": 7}}`)},
		DueAt:   time.Now().Add(time.Hour), Tags: map[string]string{"n": strconv.Itoa(f.next), "kind": "photo"},
	}
}

func (f *fixture[Tx]) last() parley.Selection {
	return parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"n": strconv.Itoa(f.next), "kind": "photo"}}
}

func (f *fixture[Tx]) write(b *testing.B, records ...parley.Record) {
	b.Helper()
	err := f.inTx(b.Context(), func(tx Tx) error { return f.store.Insert(b.Context(), tx, records) })
	if err != nil {
		b.Fatal(err)
	}
}

func (f *fixture[Tx]) fill(b *testing.B, n int) {
	b.Helper()
	for n > 0 {
		records := make([]parley.Record, min(n, 4000))
		for i := range records {
			records[i] = f.reminder()
		}
		f.write(b, records...)
		n -= len(records)
	}
}

var atOnce = parley.Record{Message: parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, Body: []byte(`{"payload": {"user": 7}}`)}}

// insert is a transaction with one record that is due at once.
func (f *fixture[Tx]) insert(b *testing.B) {
	for b.Loop() {
		f.write(b, atOnce)
	}
	f.drain(b)
}

// relay claims and settles batches of 1000 records, without a broker.
func (f *fixture[Tx]) relay(b *testing.B) {
	records := make([]parley.Record, 1000)
	for b.Loop() {
		b.StopTimer()
		for i := range records {
			records[i] = atOnce
		}
		f.write(b, records...)
		b.StartTimer()
		f.settle(b, 1000)
	}
}

func (f *fixture[Tx]) drain(b *testing.B) {
	b.Helper()
	for f.settle(b, 1000) > 0 {
	}
}

func (f *fixture[Tx]) settle(b *testing.B, limit int) int {
	b.Helper()
	batch, err := f.store.Claim(b.Context(), parley.ClaimOptions{Limit: limit})
	if err != nil {
		b.Fatal(err)
	}
	records := batch.Records()
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	elsewhere, err := batch.Settle(b.Context(), ids, nil)
	if err != nil || elsewhere != 0 {
		b.Fatal(elsewhere, err)
	}
	return len(ids)
}

// idleClaim claims from an outbox without due records.
func (f *fixture[Tx]) idleClaim(b *testing.B) {
	for b.Loop() {
		if n := f.settle(b, 1000); n != 0 {
			b.Fatalf("%d records are due", n)
		}
	}
}

var errUndo = errors.New("undo")

// undone measures fn in a transaction that is rolled back, so that each run finds the same records.
func (f *fixture[Tx]) undone(b *testing.B, fn func(tx Tx) (int, error)) {
	f.write(b, f.reminder())
	for b.Loop() {
		err := f.inTx(b.Context(), func(tx Tx) error {
			n, err := fn(tx)
			if err == nil && n != 1 {
				err = fmt.Errorf("found %d records, want 1", n)
			}
			return errors.Join(err, errUndo)
		})
		if err.Error() != errUndo.Error() {
			b.Fatal(err)
		}
	}
}

func (f *fixture[Tx]) cancel(b *testing.B) {
	f.undone(b, func(tx Tx) (int, error) { return f.store.Cancel(b.Context(), tx, f.last()) })
}

func (f *fixture[Tx]) reschedule(b *testing.B) {
	f.undone(b, func(tx Tx) (int, error) {
		return f.store.Reschedule(b.Context(), tx, f.last(), time.Now().Add(2*time.Hour))
	})
}
