package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
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

func TestIDsOfAnInsertionWithoutReturning(t *testing.T) {
	s := open(t)
	mysql.PretendNoReturning(s)
	for _, n := range []int{1, 2, 5000} {
		records := make([]parley.Record, n)
		for i := range records {
			records[i] = plain()
		}
		ids := insert(t, s, records...)
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: n})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range b.Records() {
			if r.ID != ids[i] {
				t.Fatalf("record %d of %d has the id %d in the table, Insert returned %d", i, n, r.ID, ids[i])
			}
		}
		if elsewhere, err := b.Settle(t.Context(), ids, nil); elsewhere != 0 || err != nil {
			t.Fatalf("settle: %d deleted elsewhere, %v", elsewhere, err)
		}
	}
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

// killRelay ends the session that holds the lead.
func killRelay(t *testing.T, s *mysql.Store) {
	t.Helper()
	var id int64
	err := s.DB().QueryRowContext(t.Context(), `SELECT p.id FROM information_schema.innodb_trx x
 JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id WHERE p.db = DATABASE()`).Scan(&id)
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

// A duplicate waits for the first delivery for longer than the server's lock wait timeout.
func TestInboxWaitsOutALockTimeout(t *testing.T) {
	s := openDSN(t, testenv.MariaDB(t)+"?innodb_lock_wait_timeout=1")
	began, second := make(chan struct{}), make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-began
		second <- s.Once(t.Context(), "billing", "m-1", func(context.Context, mysql.Tx) error { return nil })
	})
	err := s.Once(t.Context(), "billing", "m-1", func(context.Context, mysql.Tx) error {
		close(began)
		longer := time.NewTimer(1500 * time.Millisecond)
		defer longer.Stop()
		select {
		case <-longer.C:
		case err := <-second:
			t.Errorf("the duplicate has not waited: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-second; !errors.Is(err, parley.ErrDuplicate) {
		t.Errorf("the duplicate gets %v, want ErrDuplicate", err)
	}
}

func TestMigrateMayRunInParallelAndAgain(t *testing.T) {
	dsn := testenv.MariaDB(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := mysql.Open(dsn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(s.Migrate(t.Context()), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := openDSN(t, dsn)
	steps, err := s.MigrationStatus(t.Context())
	if err != nil || len(steps) == 0 || !steps[0].Applied || steps[0].Name != "00001_outbox.sql" {
		t.Errorf("the migrations are %+v (%v), want all applied", steps, err)
	}
	text, err := mysql.MigrationSQL()
	if err != nil || !strings.Contains(text, "parley_outbox") {
		t.Errorf("MigrationSQL returns %q (%v)", text, err)
	}
}

func TestOpenNamesAllMistakes(t *testing.T) {
	for dsn, wants := range map[string][]string{
		"root@tcp(db:3306)/?charset=latin1": {"names no database", "charset"},
		"root@tcp(db:3306":                  {"DSN"},
	} {
		_, err := mysql.Open(dsn, nil)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%q) returns %v, want an error with %q", dsn, err, want)
			}
		}
	}
	if _, err := mysql.Open("root@tcp(db:3306)/x", &mysql.Config{WatchInterval: -1}); err == nil {
		t.Error("a negative interval is accepted")
	}
}

func TestNewRefusesAConnectionThatCannotHoldEveryMessage(t *testing.T) {
	dsn := testenv.MariaDB(t)
	openDSN(t, dsn)
	db, err := sql.Open("mysql", dsn+"?charset=latin1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := mysql.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.InTx(t.Context(), func(tx *sql.Tx) error { return s.Insert(t.Context(), tx, []parley.Record{plain()}) })
	if err == nil || !strings.Contains(err.Error(), "charset=utf8mb4") {
		t.Errorf("an insertion over latin1 returns %v, want an error with a hint", err)
	}
}
