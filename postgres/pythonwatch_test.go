package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

func fillDjango(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	_, err := pool.Exec(t.Context(), "INSERT INTO "+postgres.DjangoTable+` (create_time, exchange, routing_key, is_new_style, body, send_after_time)
		SELECT clock_timestamp(), 'vec', 'k', true, jsonb_build_object('eventId', i), now() FROM generate_series(1, $1) i`, n)
	if err != nil {
		t.Fatal(err)
	}
}

// settleBeside settles a batch while another session waits to delete its first row, and returns the count of the store.
func settleBeside(t *testing.T, store *postgres.DjangoStore, other *pgxpool.Pool, statement string) int {
	t.Helper()
	b, err := store.Claim(t.Context(), parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(t.Context())
	ids := idsOf(b.Records())
	deleted := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), statement)
		deleted <- err
	}()
	eventually(t, "the other session waits", func() bool {
		var n int
		err := other.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"+
			" AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())").Scan(&n)
		return err == nil && n > 0
	})
	elsewhere, err := b.Settle(t.Context(), ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	return elsewhere
}

func idsOf(records []parley.Record) []int64 {
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids
}

// Its DELETE waits for this transaction and then finds no row, so the relay misses no row.
func TestARelayWithoutLocksIsNoticedThoughItDeletesNothing(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	fillDjango(t, pool, 3)
	if n := settleBeside(t, store, pool, fmt.Sprintf(pythonDelete, 1)); n == 0 {
		t.Error("a relay that waited to delete a claimed row was not counted")
	}
}

func TestARelayWithoutLocksOfAHiddenRoleIsNoticed(t *testing.T) {
	pool, _ := openDjango(t, "2.6")
	relay := as(t, pool, "SELECT, UPDATE, DELETE ON "+postgres.DjangoTable)
	store, err := postgres.NewDjango(relay, nil)
	if err != nil {
		t.Fatal(err)
	}
	fillDjango(t, pool, 3)
	if n := settleBeside(t, store, pool, fmt.Sprintf(pythonDelete, 1)); n == 0 {
		t.Error("a relay whose query is hidden was not counted, although records without tags cannot be cancelled")
	}
}

func TestACancellationThatWaitsIsNoRelayWithoutLocks(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	relay := as(t, pool, "SELECT, UPDATE, DELETE ON "+postgres.DjangoTable)
	hidden, err := postgres.NewDjango(relay, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, store := range map[string]*postgres.DjangoStore{"its query can be seen": store, "its query is hidden": hidden} {
		fillDjango(t, pool, 1)
		if _, err := pool.Exec(t.Context(), "UPDATE "+postgres.DjangoTable+` SET tags = '{"a": "b"}'`); err != nil {
			t.Fatal(err)
		}
		if n := settleBeside(t, store, pool, "DELETE FROM "+postgres.DjangoTable+` WHERE tags @> '{"a": "b"}'`); n != 0 {
			t.Errorf("a waiting cancellation was counted as %d records published elsewhere (%s)", n, what)
		}
	}
}

// A pythonRelay works as runpublisher does: it reads without a lock, publishes one by one and deletes each.
func pythonRelay(ctx context.Context, url string, publish func(id int64)) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		rows, err := conn.Query(ctx, "SELECT id FROM "+postgres.DjangoTable+" WHERE send_after_time <= now()")
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for i := 0; i < len(ids) && err == nil; i++ {
			publish(ids[i])
			_, err = conn.Exec(ctx, fmt.Sprintf(pythonDelete, ids[i]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTwoRelaysWithoutLocksBesideOursAreReported(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	const events = 2000
	fillDjango(t, pool, events)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	published := 0
	var python sync.WaitGroup
	for range 2 {
		python.Go(func() {
			err := pythonRelay(ctx, pool.Config().ConnString(), func(int64) { mu.Lock(); published++; mu.Unlock() })
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	defer python.Wait()
	defer stop()
	eventually(t, "the others are at work", func() bool { mu.Lock(); defer mu.Unlock(); return published > 10 })
	elsewhere := make(chan int, 1000)
	_, log := runRelay(t, store, parley.RelayHooks{DeletedElsewhere: func(n int) { elsewhere <- n }})
	select {
	case <-elsewhere:
	case <-time.After(30 * time.Second):
		t.Error("two relays without locks use the table, but DeletedElsewhere was not called")
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "deleted or changed by another process") })
}
