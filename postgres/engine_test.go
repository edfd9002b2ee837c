package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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
