package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley"
)

// One record is written by INSERT, a few by arrays, many by COPY, in whose binary format far years would overflow.
func TestAFarDueTimeIsRefusedOrStoredAsItIsHoweverManyRecordsThereAre(t *testing.T) {
	pool, store := openPgx(t)
	ctx := t.Context()
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, due := range []time.Time{
		time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), last, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<40, 0), time.Unix(1<<43, 0),
		time.Unix(1<<50, 0), time.Unix(1<<61, 0), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-44, 3, 15, 0, 0, 0, 0, time.UTC),
	} {
		for _, n := range []int{1, 2, many} {
			records := manyRecords()[:n]
			for i := range records {
				records[i].DueAt = due
			}
			tx, err := pool.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			err = store.Insert(ctx, tx, records)
			if fits := due.Year() >= 1 && due.Year() <= 9999; fits != (err == nil) || !fits && !errors.Is(err, parley.ErrInvalid) {
				t.Errorf("%d records for the year %d: %v, want ErrInvalid outside the years 1 to 9999", n, due.Year(), err)
			}
			wantStored(t, tx, due, err == nil, n)
			if err := tx.Rollback(ctx); err != nil {
				t.Error(err)
			}
		}
	}
}

// wantStored also checks that the transaction is usable after a refusal.
func wantStored(t *testing.T, tx pgx.Tx, due time.Time, fits bool, n int) {
	t.Helper()
	q, args := "SELECT count(*) FROM parley_outbox", []any(nil)
	if fits {
		q, args = q+" WHERE due_at = $1::text::timestamptz", []any{due.UTC().Format(time.RFC3339Nano)}
	}
	var stored int
	if err := tx.QueryRow(t.Context(), q, args...).Scan(&stored); err != nil {
		t.Fatalf("year %d: the transaction is no longer usable: %v", due.Year(), err)
	}
	if fits && stored != n || !fits && stored != 0 {
		t.Errorf("%d records are stored for the year %d, want %d unless it is refused", stored, due.Year(), n)
	}
}

// Both transactions have begun, and read, before either publishes: neither snapshot shows the other's event.
func TestUnlessSchedulesOnceOrFailsAtEveryIsolationLevel(t *testing.T) {
	t.Run("own table", func(t *testing.T) {
		pool, store := openPgx(t)
		unlessAtEachLevel(t, pool, store, "parley_outbox")
	})
	t.Run("Django", func(t *testing.T) {
		pool, store := openDjango(t, "2.6")
		unlessAtEachLevel(t, pool, store, "services_communication_publishedeventqueue")
	})
}

func unlessAtEachLevel(t *testing.T, pool *pgxpool.Pool, store parley.OutboxStore[pgx.Tx], table string) {
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		if _, err := pool.Exec(ctx, "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
		var txs [2]pgx.Tx
		for i := range txs {
			if txs[i], err = pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: level}); err != nil {
				t.Fatal(err)
			}
			if _, err := txs[i].Exec(ctx, "SELECT count(*) FROM "+table); err != nil {
				t.Fatal(err)
			}
		}
		var errs [2]error
		for i, tx := range txs {
			if _, errs[i] = publishUnless(ctx, outbox, tx); errs[i] == nil {
				errs[i] = tx.Commit(ctx)
			}
			_ = tx.Rollback(context.WithoutCancel(ctx)) // it may have ended
		}
		var n int
		if err := pool.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		invalid := errors.Is(errs[0], parley.ErrInvalid) && errors.Is(errs[1], parley.ErrInvalid)
		switch {
		case level == pgx.RepeatableRead && (!invalid || n != 0):
			t.Errorf("%s: %d events were scheduled, with the errors %v, want ErrInvalid for both", level, n, errs)
		case level != pgx.RepeatableRead && n != 1:
			t.Errorf("%s: %d events were scheduled, want 1 (%v)", level, n, errs)
		case level == pgx.ReadCommitted && (errs[0] != nil || errs[1] != nil):
			t.Errorf("%s: %v, want no error", level, errs)
		}
	}
}

func publishUnless(ctx context.Context, outbox *parley.Outbox[pgx.Tx], tx pgx.Tx) (int64, error) {
	tags := parley.Tags{"a": 1}
	return parley.Publish(ctx, outbox.In(tx), photo, map[string]int{}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(tags), parley.WithUnlessTags(tags))
}

// Two concurrent callers wait for each other, on Django's table as well.
func TestUnlessInParallelSchedulesOnceInTheDjangoTable(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	first, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := publishUnless(ctx, outbox, first); id == 0 || err != nil {
		t.Fatalf("the first caller gets %d, %v, want an id", id, err)
	}
	defer first.Rollback(context.WithoutCancel(ctx)) // after the commit it does nothing
	type result struct {
		id  int64
		err error
	}
	second := make(chan result, 1)
	go func() {
		var r result
		r.err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
			r.id, err = publishUnless(ctx, outbox, tx)
			return err
		})
		second <- r
	}()
	eventually(t, "the second caller waits", func() bool {
		var n int
		err := pool.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&n)
		return err == nil && n > 0
	})
	if err := first.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if r := <-second; r.id != 0 || r.err != nil {
		t.Errorf("the second caller gets %d, %v, want nothing recorded", r.id, r.err)
	}
}
