package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/postgres"
)

func TestOnceReturnsWhenTheServerFreezesUnderAFailingHandler(t *testing.T) {
	u, err := url.Parse(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, u.Host)
	u.Host = proxy.Addr()
	pool, err := pgxpool.New(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.New(pool, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	fails := errors.New("the handler fails")
	done := make(chan error, 1)
	go func() {
		done <- store.Once(t.Context(), "c", "i", func(context.Context, pgx.Tx) error {
			proxy.Blackhole()
			return fails
		})
	}()
	select {
	case err := <-done:
		if !errors.Is(err, fails) {
			t.Errorf("got %v, want the handler's error", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Once still hangs in its rollback")
	}
	proxy.Cut()
	pool.Close()
}
