package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

// The server is made to look demoted by a function that hides PostgreSQL's own: a real demotion would end the session, unless
// a proxy keeps it open.
func TestAListenerLeavesAServerThatHasBecomeAStandby(t *testing.T) {
	testenv.Long(t, "waits for a listener's question to the server, which comes after 5 s of silence")
	owner, _ := openPgx(t)
	for _, q := range []string{
		"CREATE TABLE demoted (yes bool)", "INSERT INTO demoted VALUES (false)",
		"CREATE FUNCTION public.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT yes FROM public.demoted'",
	} {
		if _, err := owner.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	cfg := owner.Config()
	cfg.ConnConfig.RuntimeParams["search_path"] = "public, pg_catalog"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	woken, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- store.Watch(ctx, func() { woken <- struct{}{} }) }()
	<-woken
	select { // it asks once and stays
	case err := <-ended:
		t.Fatalf("the listener left a primary: %v", err)
	case <-time.After(6 * time.Second):
	}
	if _, err := owner.Exec(t.Context(), "UPDATE demoted SET yes = true"); err != nil {
		t.Fatal(err)
	}
	defer stop()
	select {
	case err = <-ended:
	case <-time.After(30 * time.Second):
		stop()
		<-ended
		t.Fatal("the listener stays on a standby")
	}
	if err == nil || !strings.Contains(err.Error(), "read-only standby") {
		t.Errorf("the listener ended with %v", err)
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
