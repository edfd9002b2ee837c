package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

// deadlocked makes tx the victim of a deadlock and returns the error. tx must have changed the row 1 of table t.
func deadlocked(ctx context.Context, t *testing.T, db *sql.DB, tx mysql.Tx) error {
	t.Helper()
	other, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer other.Rollback()
	// The victim is the transaction that has changed fewer rows.
	if _, err := other.ExecContext(ctx, "INSERT INTO t (id, n) WITH RECURSIVE k (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM k WHERE i < 400) SELECT i, 0 FROM k"); err != nil {
		return err
	}
	if _, err := other.ExecContext(ctx, "UPDATE t SET n = n WHERE id = 2 OR id = 3"); err != nil {
		return err
	}
	if _, err := other.ExecContext(ctx, "UPDATE t SET n = n + 100 WHERE id = 2"); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := other.ExecContext(ctx, "UPDATE t SET n = n + 100 WHERE id = 1") // waits for tx
		done <- err
	}()
	for {
		var waits int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'").Scan(&waits); err != nil {
			return err
		}
		if waits > 0 {
			break
		}
		if len(done) > 0 {
			return errors.New("the other transaction does not wait")
		}
		wait(t, 200*time.Millisecond) // the server refreshes this table only if no session has read it for 100 ms
	}
	_, err = tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = 2")
	<-done
	return err
}

// openT returns a store with a table t of three rows.
func openT(t *testing.T) *mysql.Store {
	t.Helper()
	s := open(t)
	for _, q := range []string{"CREATE TABLE t (id INT PRIMARY KEY, n INT) ENGINE = InnoDB", "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)"} {
		if _, err := s.DB().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// wantRolledBack checks the error, and that the change before the deadlock and the identity are undone.
func wantRolledBack(t *testing.T, s *mysql.Store, what string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "rolled the transaction back") {
		t.Errorf("%s returned %v, want an error that says that the server has rolled the transaction back", what, err)
	}
	var one, seen int
	if err := s.DB().QueryRowContext(t.Context(), "SELECT (SELECT n % 100 FROM t WHERE id = 1), (SELECT COUNT(*) FROM parley_inbox)").Scan(&one, &seen); err != nil {
		t.Fatal(err)
	}
	if one != 0 || seen != 0 {
		t.Errorf("%s: the change before the deadlock was made %d times, and there are %d identities, want none", what, one, seen)
	}
}

// A handler treats the error of one statement as harmless, or repeats the statement, as savepoints of ORMs and many retry helpers
// do. The server has rolled back the whole transaction: Once must not report success.
func TestOnceFailsIfTheServerHasRolledBackItsTransaction(t *testing.T) {
	s := openT(t)
	for what, identity := range map[string]string{"with an identity": "m-1", "without one": ""} {
		err := s.Once(t.Context(), "billing", identity, func(ctx context.Context, tx mysql.Tx) error {
			if _, err := tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = 1"); err != nil {
				return err
			}
			if err := deadlocked(ctx, t, s.DB(), tx); err == nil {
				return errors.New("the handler is not the victim")
			}
			_, err := tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = 3") // the handler goes on
			return err
		})
		wantRolledBack(t, s, what, err)
	}
}

// The same for a producer: an event without its change must not be reported as a success.
func TestInTxFailsIfTheServerHasRolledBackItsTransaction(t *testing.T) {
	s := openT(t)
	ctx := t.Context()
	err := s.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = 1"); err != nil {
			return err
		}
		if err := deadlocked(ctx, t, s.DB(), tx); err == nil {
			return errors.New("the producer is not the victim")
		}
		return s.Insert(ctx, tx, []parley.Record{{Message: parley.Message{Exchange: "orders", RoutingKey: "paid", Kind: parley.KindEvent, Body: []byte("{}")}}})
	})
	wantRolledBack(t, s, "InTx", err)
}

func TestTransactionsThatTheServerHasNotRolledBackCommit(t *testing.T) {
	s := openT(t)
	ctx := t.Context()
	change := func(tx mysql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = 1")
		return err
	}
	for _, identity := range []string{"", "m-1"} {
		if err := s.Once(ctx, "billing", identity, func(_ context.Context, tx mysql.Tx) error { return change(tx) }); err != nil {
			t.Errorf("Once with the identity %q: %v", identity, err)
		}
	}
	if err := s.InTx(ctx, func(tx *sql.Tx) error { return change(tx) }); err != nil {
		t.Errorf("InTx: %v", err)
	}
	var n int
	if err := s.DB().QueryRowContext(ctx, "SELECT n FROM t WHERE id = 1").Scan(&n); err != nil || n != 3 {
		t.Errorf("three changes were made %d times (%v)", n, err)
	}
}
