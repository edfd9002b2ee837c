package testenv_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/parley-go/parley/internal/testenv"
)

func TestAConnectionThatPgxStillClosesIsNoLeak(t *testing.T) {
	cfg, err := pgconn.ParseConfig(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	var connected atomic.Bool
	closing, goOn := make(chan struct{}), make(chan struct{})
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if connected.Load() { // pgx dials again in order to cancel the statement of a connection that it closes
			close(closing)
			<-goOn
		}
		return dial(ctx, network, addr)
	}
	others := goleak.IgnoreCurrent()
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	connected.Store(true)
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := conn.Exec(soon, "select pg_sleep(60)").Close(); err == nil {
		t.Fatal("a statement of a minute ended without an error")
	}
	<-closing
	if goleak.Find(others) == nil {
		t.Error("pgx closes no connection: the test shows nothing")
	}
	if err := goleak.Find(others, testenv.PgxCloses()); err != nil {
		t.Error(err)
	}
	close(goOn)
	<-conn.CleanupDone()
}
