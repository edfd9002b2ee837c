package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
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
