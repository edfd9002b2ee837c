package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley/internal/testenv"
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
