package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
)

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

// The transaction level is invalid input for the second record, so that the first one must not be written.
func TestAConditionAtRepeatableReadAmongOtherRecordsWritesNothing(t *testing.T) {
	tags := map[string]string{"a": "1"}
	records := []parley.Record{
		{Message: parley.Message{Exchange: "mail", Body: []byte("{}")}},
		{Message: parley.Message{Exchange: "mail", Body: []byte("{}")}, DueAt: time.Now().Add(time.Hour), Tags: tags, UnlessTags: tags},
	}
	check := func(t *testing.T, pool *pgxpool.Pool, store parley.OutboxStore[pgx.Tx], table string) {
		outbox, err := parley.NewOutbox(store, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := outbox.In(tx).Record(t.Context(), slices.Clone(records)...); !errors.Is(err, parley.ErrInvalid) {
				t.Errorf("%v, want an error that matches ErrInvalid", err)
			}
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
		})
		if err != nil || n != 0 {
			t.Errorf("%d records were written (%v), want none", n, err)
		}
	}
	t.Run("own table", func(t *testing.T) {
		pool, store := openPgx(t)
		check(t, pool, store, "parley_outbox")
	})
	t.Run("Django", func(t *testing.T) {
		pool, store := openDjango(t, "2.6")
		check(t, pool, store, "services_communication_publishedeventqueue")
	})
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
