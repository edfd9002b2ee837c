package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

func TestStoreKeepsThePromisesOfAStore(t *testing.T) {
	parleytest.TestStore(t, func(*testing.T) parleytest.StoreUnderTest[*memory.Tx] {
		s := memory.NewStore()
		return parleytest.StoreUnderTest[*memory.Tx]{
			Store:    s,
			Begin:    s.Begin,
			Commit:   func(ctx context.Context, tx *memory.Tx) error { return tx.Commit(ctx) },
			Rollback: func(ctx context.Context, tx *memory.Tx) error { return tx.Rollback(ctx) },
		}
	})
}

func begin(t testing.TB, s *memory.Store) *memory.Tx {
	t.Helper()
	tx, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func insert(t testing.TB, s *memory.Store, tx *memory.Tx, records ...parley.Record) {
	t.Helper()
	if err := s.Insert(t.Context(), tx, records); err != nil {
		t.Fatal(err)
	}
}

func reminder(user string, due time.Time) parley.Record {
	m := parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindCommand, Body: []byte(`{}`)}
	return parley.Record{Message: m, DueAt: due, Tags: map[string]string{"user": user}}
}

func of(user string) parley.Selection {
	return parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"user": user}}
}

// due returns how many records a relay gets.
func due(t testing.TB, s *memory.Store) int {
	t.Helper()
	b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(t.Context())
	return len(b.Records())
}

func TestStoreFollowsVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		err := s.InTx(t.Context(), func(tx *memory.Tx) error {
			return s.Insert(t.Context(), tx, []parley.Record{reminder("7", time.Now().Add(time.Hour))})
		})
		if err != nil {
			t.Fatal(err)
		}
		if wait, ok, err := s.NextDue(t.Context()); wait != time.Hour || !ok || err != nil {
			t.Errorf("next due in %v, %t, %v, want 1h", wait, ok, err)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if n := due(t, s); n != 0 {
			t.Errorf("a nanosecond early a relay gets %d records", n)
		}
		time.Sleep(time.Nanosecond)
		if n := due(t, s); n != 1 {
			t.Errorf("at its time a relay gets %d records, want 1", n)
		}
	})
}
