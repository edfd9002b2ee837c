package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// see inserts identities into the inbox of two consumers, with times two days ago.
func see(t *testing.T, pool *pgxpool.Pool, identities ...string) {
	t.Helper()
	for _, consumer := range []string{"mail", "audit"} {
		_, err := pool.Exec(t.Context(), "INSERT INTO parley_inbox SELECT $1, i, now() - interval '2 days' FROM unnest($2::text[]) i", consumer, identities)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sweepInbox sweeps mail, and then audit as far as the limit allows.
func sweepInbox(t *testing.T, store *postgres.Store, limit int) (n int) {
	t.Helper()
	for _, consumer := range []string{"mail", "audit"} {
		swept, err := store.SweepInbox(t.Context(), consumer, 24*time.Hour, limit-n)
		if err != nil {
			t.Fatal(err)
		}
		n += swept
	}
	return n
}

// The sweep passes any number of kept entries: they must not block the deletion of others.
func TestASweepOfTheInboxGetsPastIdentitiesThatItKeeps(t *testing.T) {
	pool, store := openPgx(t)
	var list []parley.Failure
	var kept, gone []string
	for i := range 300 {
		o := failed("x")
		o.State, o.Identity = parley.FailureParked, fmt.Sprint("id:kept", i)
		list, kept, gone = append(list, o), append(kept, o.Identity), append(gone, fmt.Sprint("id:gone", i))
	}
	if _, err := store.Failures().Keep(t.Context(), "mail", list); err != nil {
		t.Fatal(err)
	}
	see(t, pool, kept...)
	see(t, pool, gone...)
	for round, want := range []int{50, 50} {
		if n := sweepInbox(t, store, 50); n != want {
			t.Errorf("sweep %d has deleted %d entries, want %d although 600 are kept", round, n, want)
		}
	}
	if n := sweepInbox(t, store, 1000); n != 500 {
		t.Errorf("the last sweep has deleted %d entries, want the other 500", n)
	}
	err := store.Once(t.Context(), "mail", "id:kept7", func(context.Context, pgx.Tx) error { return nil })
	if !errors.Is(err, parley.ErrDuplicate) {
		t.Errorf("the identity of a parked message was deleted: %v", err)
	}
}

// The table of failed deliveries stores such an identity as a hash, which the database cannot compare.
func TestALongIdentityIsKeptWhileThereAreFailedDeliveries(t *testing.T) {
	pool, store := openPgx(t)
	long := "id:" + strings.Repeat("x", 1200)
	see(t, pool, long)
	if _, err := store.Failures().Keep(t.Context(), "mail", []parley.Failure{failed("x")}); err != nil {
		t.Fatal(err)
	}
	if n := sweepInbox(t, store, 10); n != 0 {
		t.Errorf("%d entries were deleted, want none", n)
	}
	if _, _, err := store.Failures().Drop(t.Context(), parley.FailureQuery{}); err != nil {
		t.Fatal(err)
	}
	see(t, pool, "id:other")
	if n := sweepInbox(t, store, 10); n != 2 {
		t.Errorf("%d entries were deleted, want the 2 of id:other", n)
	}
}

// A consumer without failed deliveries has neither the table nor a privilege on it.
func TestTheInboxIsSweptWithoutATableOfFailedDeliveries(t *testing.T) {
	pool, store := openPgx(t)
	see(t, pool, "id:1")
	limited, err := postgres.New(as(t, pool, "SELECT, INSERT, DELETE ON parley_inbox"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := sweepInbox(t, limited, 10); n != 2 {
		t.Errorf("without a privilege on the table: %d entries were deleted, want 2", n)
	}
	see(t, pool, "id:1")
	if _, err := pool.Exec(t.Context(), "DROP TABLE parley_failed"); err != nil {
		t.Fatal(err)
	}
	if n := sweepInbox(t, store, 10); n != 2 {
		t.Errorf("without the table: %d entries were deleted, want 2", n)
	}
}
