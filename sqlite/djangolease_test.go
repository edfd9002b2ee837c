package sqlite_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

func TestDjangoCancelSkipsHeldRowsUntilTheLeaseExpires(t *testing.T) {
	ctx := t.Context()
	_, db, _ := openDjango(t, "2.6")
	s, err := sqlite.NewDjango(db, &sqlite.DjangoConfig{Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(ctx, "INSERT INTO "+sqlite.DjangoTable+` (create_time, exchange, routing_key, is_new_style, body, send_after_time, tags)
		VALUES ('2020-01-01 00:00:00', 'vec', 'k', 1, '{}', '2020-01-01 00:00:00', '{"n": "1"}')`)
	if err != nil {
		t.Fatal(err)
	}
	busy, err := s.Claim(ctx, parley.ClaimOptions{Limit: 10})
	if err != nil || len(busy.Records()) != 1 {
		t.Fatalf("claimed %+v (%v), want one row", busy, err)
	}
	cancel := func() (n int) {
		t.Helper()
		err := s.InTx(ctx, func(tx *sql.Tx) (err error) {
			n, err = s.Cancel(ctx, tx, parley.Selection{Exchange: "vec", RoutingKey: "k", Tags: map[string]string{"n": "1"}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := cancel(); n != 0 {
		t.Fatalf("cancelled %d rows that a relay holds", n)
	}
	if err := busy.Release(ctx); err != nil {
		t.Fatal(err)
	}
	brief, err := sqlite.NewDjango(db, &sqlite.DjangoConfig{Lease: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	crashed, err := brief.Claim(ctx, parley.ClaimOptions{Limit: 10})
	if err != nil || len(crashed.Records()) != 1 {
		t.Fatalf("claimed %+v (%v), want the released row", crashed, err)
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for cancel() == 0 { // the relay has crashed: it never settles
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the rows of a crashed relay are never released")
		}
	}
	if elsewhere, err := crashed.Settle(ctx, []int64{crashed.Records()[0].ID}, nil); err != nil || elsewhere != 1 {
		t.Errorf("a late settlement returns %d rows (%v) deleted elsewhere, want 1", elsewhere, err)
	}
}

func TestADjangoStoreWithoutItsTableReturnsAnError(t *testing.T) {
	if _, err := sqlite.NewDjango(nil, nil); err == nil {
		t.Error("no error without a database")
	}
	s, err := sqlite.NewDjango(open(t, nil).DB(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1}); err == nil {
		t.Error("no error without Django's table")
	}
}
