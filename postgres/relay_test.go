package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

// counting counts the claims of a relay.
type counting struct {
	parley.RelaySource
	claims atomic.Int64
}

func (c *counting) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	c.claims.Add(1)
	return c.RelaySource.Claim(ctx, o)
}

func TestARelayDoesNotSpinWhileADueRecordIsLocked(t *testing.T) {
	pool, s := openPgx(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := parley.Record{DueAt: time.Now().Add(-time.Second), Message: parley.Message{Exchange: "x", Kind: parley.KindCommand, Body: []byte("{}")}}
	if err := s.Insert(t.Context(), tx, []parley.Record{r}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback(context.Background())
	if _, err := hold.Exec(t.Context(), "SELECT * FROM parley_outbox FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	src := &counting{RelaySource: s}
	relay, err := parley.NewRelay(src, memory.NewBroker(nil), &parley.RelayConfig{Mode: parley.RelayModeParallel})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	if err := relay.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := src.claims.Load(); n > 60 {
		t.Errorf("%d claims in 3s while the one due record is locked by a Cancel or another relay", n)
	}
}

// Two relays share the load of one outbox for three seconds.
func TestRelaysUnderLoadSwapTheLeadAtMostOnceInAStandbyInterval(t *testing.T) {
	testenv.Long(t, "runs two relays under load for 3 s")
	pool, store := openPgx(t)
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	const interval, load = 500 * time.Millisecond, 3 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	broker := memory.NewBroker(nil)
	losses, done := make(chan int, 2), make(chan error, 2)
	for range 2 {
		other, err := postgres.New(pool, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, last := 0, parley.RelayStarting
		relay, err := parley.NewRelay(other, broker, &parley.RelayConfig{StandbyInterval: interval, BatchSize: 20, Unroutable: parley.UnroutableDrop,
			Hooks: parley.RelayHooks{State: func(state parley.RelayState) {
				if last == parley.RelayActive && state == parley.RelayStandby {
					n++
				}
				last = state
			}}})
		if err != nil {
			t.Fatal(err)
		}
		go func() { err := relay.Run(ctx); losses <- n; done <- err }()
	}
	start := time.Now()
	for time.Since(start) < load {
		err := store.InTx(ctx, func(tx pgx.Tx) error {
			_, err := parley.Publish(ctx, outbox.In(tx), photo, map[string]int{})
			return err
		})
		if err != nil {
			t.Error(err)
			break
		}
	}
	took := time.Since(start)
	stop()
	n := <-losses + <-losses
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}
	// A relay that has lost the lead waits an interval, so each of both loses it at most once in an interval.
	if limit := 2 * (int(took/interval) + 1); n > limit {
		t.Errorf("the lead was lost %d times in %v, want at most %d", n, took, limit)
	}
}
