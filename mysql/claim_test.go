package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

func plain() parley.Record {
	return parley.Record{Message: parley.Message{Exchange: "orders", Kind: parley.KindCommand, Body: []byte("{}")}}
}

func claim(t *testing.T, s *mysql.Store, mode parley.RelayMode) parley.Batch {
	t.Helper()
	b, err := s.Claim(t.Context(), parley.ClaimOptions{Mode: mode, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The server ends a silent session with its transaction, its lead and its locks.
func TestARelayWhoseSessionEndsLosesLeadAndRecordsTogether(t *testing.T) {
	s := open(t)
	ids := insert(t, s, plain(), plain())
	frozen := claim(t, s, parley.RelayModeOrdered)
	if _, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1}); !errors.Is(err, parley.ErrStandby) {
		t.Fatalf("while a relay is active another one gets %v, want ErrStandby", err)
	}
	killRelay(t, s)
	heir := claimSoon(t, s)
	if n := len(heir.Records()); n != 2 {
		t.Errorf("the heir gets %d records, want 2", n)
	}
	if _, err := frozen.Settle(t.Context(), ids, nil); err == nil {
		t.Errorf("a relay that has lost its session can settle")
	}
	if elsewhere, err := heir.Settle(t.Context(), ids, nil); elsewhere != 0 || err != nil {
		t.Errorf("the heir's settlement returns %d and %v, want 0", elsewhere, err)
	}
}

// killRelay ends the session that holds the lead. The server keeps what it has read for innodb_trx until no session has asked for 100 ms, so a
// new transaction can be missing.
func killRelay(t *testing.T, s *mysql.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	var id int64
	find := func() error {
		return s.DB().QueryRowContext(ctx, `SELECT p.id FROM information_schema.innodb_trx x
 JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id WHERE p.db = DATABASE()`).Scan(&id)
	}
	err := find()
	for ; errors.Is(err, sql.ErrNoRows); err = find() {
		<-tick.C
	}
	if err == nil {
		_, err = s.DB().ExecContext(t.Context(), "KILL ?", id)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func claimSoon(t *testing.T, s *mysql.Store) parley.Batch {
	t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 100})
		if err == nil {
			return b
		}
		if !errors.Is(err, parley.ErrStandby) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatal("the records of a killed relay can never be claimed")
		}
	}
}

func TestABatchLeavesItsConnectionAsItWas(t *testing.T) {
	s := open(t)
	s.DB().SetMaxOpenConns(1)
	timeout := func() (seconds int) {
		if err := s.DB().QueryRowContext(t.Context(), "SELECT @@SESSION.wait_timeout").Scan(&seconds); err != nil {
			t.Fatal(err)
		}
		return seconds
	}
	before := timeout()
	insert(t, s, plain())
	b := claim(t, s, parley.RelayModeOrdered)
	if err := b.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := timeout(); after != before {
		t.Errorf("wait_timeout was %d and is %d after a batch", before, after)
	}
}

func TestABatchOutlivesTheContextOfItsClaim(t *testing.T) {
	s := open(t)
	ids := insert(t, s, plain())
	ctx, stop := context.WithCancel(t.Context())
	b, err := s.Claim(ctx, parley.ClaimOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if elsewhere, err := b.Settle(t.Context(), ids, nil); elsewhere != 0 || err != nil {
		t.Errorf("after a stop settling the claimed batch returns %d and %v, want 0", elsewhere, err)
	}
}
