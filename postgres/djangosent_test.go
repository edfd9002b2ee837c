package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// peekDjango returns the rows that a relay would claim now.
func peekDjango(t *testing.T, store parley.RelaySource) []parley.Record {
	t.Helper()
	b, err := store.Claim(t.Context(), parley.ClaimOptions{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(context.WithoutCancel(t.Context()))
	return b.Records()
}

func TestDeletionSparesADjangoRowThatIsNotTheOneThatWasSent(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	ctx := t.Context()
	fillDjango(t, pool, 3)
	if _, err := pool.Exec(ctx, "UPDATE "+postgres.DjangoTable+` SET tags = '{"a": "b"}' WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	var sent []parley.SentRecord
	for _, r := range peekDjango(t, store) {
		sent = append(sent, r.Sent())
	}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		n, err := store.Reschedule(ctx, tx, parley.Selection{Exchange: "vec", RoutingKey: "k", Tags: map[string]string{"a": "b"}}, time.Now().Add(-time.Minute))
		if n != 1 {
			t.Errorf("moved %d rows, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sent[2].CreatedAt = sent[2].CreatedAt.Add(-time.Minute)
	n, left, err := store.Delete(ctx, sent)
	if n != 1 || len(left) != 2 || err != nil {
		t.Errorf("deleted %d and left %v (%v), want 1 deleted, the moved and the other row left", n, left, err)
	}
	if got := idsOf(peekDjango(t, store)); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("the rows %v remain, want 2 and 3", got)
	}
}

func TestAnOpenCancellationDelaysNoOtherDjangoRow(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	ctx := t.Context()
	fillDjango(t, pool, 5)
	if _, err := pool.Exec(ctx, "UPDATE "+postgres.DjangoTable+` SET tags = jsonb_build_object('n', id::text) WHERE id IN (2, 4)`); err != nil {
		t.Fatal(err)
	}
	slow := blocker(t, pool)
	n, err := store.Cancel(ctx, slow, parley.Selection{Exchange: "vec", RoutingKey: "k", Tags: map[string]string{"n": "2"}})
	if n != 1 || err != nil {
		t.Fatalf("cancelled %d (%v), want 1", n, err)
	}
	if got := idsOf(peekDjango(t, store)); !slices.Equal(got, []int64{1, 3, 4, 5}) {
		t.Errorf("a relay gets the rows %v, want all but the cancelled one in the order of their ids", got)
	}
	blockers, err := store.Blockers(ctx)
	if err != nil || len(blockers) != 1 || blockers[0].Application != "slow report" {
		t.Errorf("the blockers are %+v (%v), want the one transaction", blockers, err)
	}
}
