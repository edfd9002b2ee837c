package postgres_test

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
)

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestProcessesThatMigrateAtOnceDoNotCollide(t *testing.T) {
	for name, cfg := range map[string]*postgres.Config{"direct": nil, "for a pooler": {PollOnly: true}} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t)
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					store, err := postgres.New(pool, cfg)
					if err == nil {
						err = store.Migrate(t.Context())
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}
