package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

// A relay's session may refuse changes without a key; due times are those of the database's clock.
func TestARelayWorksWithSafeUpdates(t *testing.T) {
	for _, n := range []int{1, 3, 1500} {
		s := openDSN(t, testenv.MariaDB(t)+"?sql_safe_updates=1")
		records := make([]parley.Record, n)
		for i := range records {
			records[i] = plain()
			records[i].DueAt, records[i].Tags = time.Now().Add(-time.Minute), map[string]string{"n": "1"}
		}
		ids := insert(t, s, records...)
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 2 * n})
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere, err := b.Settle(t.Context(), ids, nil); elsewhere != 0 || err != nil {
			t.Errorf("settling %d records returns %d and %v, want 0", n, elsewhere, err)
		}
		var left int
		err = s.DB().QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM parley_outbox) + (SELECT COUNT(*) FROM parley_outbox_tags)").Scan(&left)
		if err != nil || left != 0 {
			t.Errorf("%d records and tags are left of %d (%v)", left, n, err)
		}
		err = s.InTx(t.Context(), func(tx *sql.Tx) error {
			if err := s.Insert(t.Context(), tx, records); err != nil {
				return err
			}
			got, err := s.Cancel(t.Context(), tx, parley.Selection{Exchange: "orders", Tags: map[string]string{"n": "1"}})
			if err == nil && got != n {
				t.Errorf("cancelled %d records, want %d", got, n)
			}
			return err
		})
		if err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
}

// The test is not only about speed: a statement that reads rows other than its own waits
// for the transactions that have locked them. So the plans must hold for a small table too.
func TestPollAndCancelUseIndexes(t *testing.T) {
	for _, n := range []int{100, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := open(t)
			fill(t, s, n)
			if _, err := s.DB().ExecContext(t.Context(), "ANALYZE TABLE parley_outbox, parley_outbox_tags"); err != nil {
				t.Fatal(err)
			}
			tx, err := s.DB().BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
			if err != nil {
				t.Fatal(err)
			}
			rec := &sqlstoretest.Recorder{Tx: tx}
			runAll(t, s, rec)
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			for _, st := range rec.Statements {
				if !strings.HasPrefix(st.Query, "INSERT") {
					checkPlan(t, s, st)
				}
			}
		})
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
