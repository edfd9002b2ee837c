package mysql_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

// failed returns a waiting failure.
func failed(body []byte) parley.Failure {
	return parley.Failure{
		Message: parley.Message{Exchange: "orders", RoutingKey: "paid", Kind: parley.KindEvent, Body: body}, State: parley.FailureWaiting,
	}
}

func keep(t testing.TB, s *mysql.Store, consumer string, list ...parley.Failure) []parley.KeptFailure {
	t.Helper()
	kept, err := s.Failures().Keep(t.Context(), consumer, list)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// The server answers an oversized packet by closing the connection: the reason would be lost.
func TestABodyThatIsLargerThanThePacketLimitIsRefused(t *testing.T) {
	for name, open := range map[string]func(t testing.TB) *mysql.Store{"in the statement": open, "prepared": openPlain} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			var limit int // 16 MiB on MariaDB, 64 MiB on MySQL by default
			if err := s.DB().QueryRowContext(t.Context(), "SELECT @@max_allowed_packet").Scan(&limit); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{limit + 1<<20, max(limit+1<<20, 70<<20)} {
				_, err := s.Failures().Keep(t.Context(), "billing", []parley.Failure{failed(bytes.Repeat([]byte("x"), size))})
				if !errors.Is(err, parley.ErrRefused) {
					t.Errorf("a body of %d MiB returns %v, want ErrRefused", size>>20, err)
				}
			}
			keep(t, s, "billing", failed([]byte("{}")))
			if list, err := s.Failures().List(t.Context(), parley.FailureQuery{}, 0, 10); len(list) != 1 || err != nil {
				t.Errorf("%d rows are in the table (%v), want only the small one", len(list), err)
			}
		})
	}
}

func TestKeepWaitsForALockForASecondAndLeavesItsSessionAsItWas(t *testing.T) {
	s := openDSN(t, testenv.MariaDB(t)+"?innodb_lock_wait_timeout=40&sql_mode=ANSI_QUOTES")
	s.DB().SetMaxOpenConns(2)
	session := func() (settings string) {
		if err := s.DB().QueryRowContext(t.Context(), "SELECT CONCAT(@@SESSION.innodb_lock_wait_timeout, ' ', @@SESSION.sql_mode)").Scan(&settings); err != nil {
			t.Fatal(err)
		}
		return settings
	}
	before := session()
	f := failed([]byte("{}"))
	f.RepeatOf = bytes.Repeat([]byte{7}, 32)
	id := keep(t, s, "billing", f)[0].ID
	c, err := s.Failures().Claim(t.Context(), "billing", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute})
	if err != nil || len(c) != 1 {
		t.Fatalf("claimed %+v (%v), want one row", c, err)
	}
	err = s.InTx(t.Context(), func(tx *sql.Tx) error {
		if err := s.Failures().DoneIn(t.Context(), tx, c[0].FailureClaim); err != nil {
			return err
		}
		began := time.Now()
		_, err := s.Failures().Keep(t.Context(), "billing", []parley.Failure{f})
		if err == nil || errors.Is(err, parley.ErrRefused) {
			t.Errorf("a repeat of a row that a handler's transaction has deleted returns %v, want a lock timeout", err)
		}
		if took := time.Since(began); testenv.Late(t, took, 20*time.Second) {
			t.Errorf("Keep has waited for %v, want about a second", took)
		}
		return errors.New("the handler fails")
	})
	if err == nil {
		t.Fatal("the transaction has committed")
	}
	if after := session(); after != before {
		t.Errorf("the session's settings were %q and are %q after Keep", before, after)
	}
	if kept := keep(t, s, "billing", f)[0]; !kept.Repeat || kept.ID != id || kept.State != parley.FailureRunning {
		t.Errorf("the repeat is %+v, want that of the running row %d", kept, id)
	}
}

func TestKeepWorksAfterItsConnectionWasKilled(t *testing.T) {
	s := open(t)
	s.DB().SetMaxOpenConns(1)
	for i := range 3 {
		keep(t, s, "billing", failed([]byte("{}")))
		killSessions(t, s)
		c, err := s.Failures().Claim(t.Context(), "billing", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute})
		if err != nil || len(c) != 1 {
			t.Fatalf("round %d: claimed %+v (%v) after the session was killed", i, c, err)
		}
		killSessions(t, s)
		if err := s.Failures().Settle(t.Context(), c[0].FailureClaim, parley.FailureOutcome{}); err != nil {
			t.Fatalf("round %d: settle after the session was killed: %v", i, err)
		}
		killSessions(t, s)
	}
}

// killSessions ends the sessions of the store, over a connection of its own.
func killSessions(t *testing.T, s *mysql.Store) {
	t.Helper()
	var name string
	if err := s.DB().QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("mysql", testenv.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	rows, err := admin.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = ?", name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if _, err := admin.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)); err != nil {
			t.Fatal(err)
		}
	}
}

// A collation that pads treats "billing " and "billing" as equal.
func TestNamesThatDifferInSpacesOrCaseAreDifferent(t *testing.T) {
	s := open(t)
	names := []string{"billing", "billing ", "Billing", "billing\x00"}
	for i, name := range names {
		f := failed([]byte("{}"))
		f.Message.RoutingKey, f.Message.ID, f.Key = name, name, name
		keep(t, s, name, f)
		for _, q := range []parley.FailureQuery{{Consumer: name}, {RoutingKey: name}, {MessageID: name}} {
			list, err := s.Failures().List(t.Context(), q, 0, 10)
			if err != nil || len(list) != 1 || list[0].Message.RoutingKey != name {
				t.Errorf("%+v finds %d rows (%v), want the %d. one", q, len(list), err, i+1)
			}
		}
	}
	found, err := s.Failures().KeysWithRows(t.Context(), "billing", names)
	if err != nil || len(found) != 1 || !found["billing"] {
		t.Errorf("the keys %v have rows (%v), want only billing", found, err)
	}
	consumers, err := s.Failures().Consumers(t.Context())
	if err != nil || len(consumers) != len(names) {
		t.Errorf("the consumers are %q (%v), want %d", consumers, err, len(names))
	}
}

func TestScheduledComparesNamesByteByByte(t *testing.T) {
	s := open(t)
	records := []parley.Record{plain(), plain(), plain()}
	for i, key := range []string{"remind", "remind ", "Remind"} {
		records[i].RoutingKey, records[i].DueAt = key, time.Now().Add(time.Hour)
	}
	insert(t, s, records...)
	sel := parley.Selection{Exchange: "orders", RoutingKey: "remind"}
	err := s.InTx(t.Context(), func(tx *sql.Tx) error {
		found, err := s.Scheduled(t.Context(), tx, sel, 10)
		if err == nil && len(found) != 1 {
			t.Errorf("routing key %q finds %d records, want 1", sel.RoutingKey, len(found))
		}
		if err != nil {
			return err
		}
		n, err := s.Cancel(t.Context(), tx, sel)
		if err == nil && n != 1 {
			t.Errorf("routing key %q cancels %d records, want 1", sel.RoutingKey, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Without STRICT mode the server stores 0000-00-00, which is due at once.
func TestATimeOutsideTheColumnsRangeIsInvalid(t *testing.T) {
	s := openPlain(t)
	for _, year := range []int{-1, 10000, 300000} {
		r := plain()
		r.DueAt = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		err := s.InTx(t.Context(), func(tx *sql.Tx) error { return s.Insert(t.Context(), tx, []parley.Record{r}) })
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("a record due in the year %d returns %v, want ErrInvalid", year, err)
		}
		err = s.InTx(t.Context(), func(tx *sql.Tx) error {
			_, err := s.Reschedule(t.Context(), tx, parley.Selection{Exchange: "orders"}, r.DueAt)
			return err
		})
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("moving to the year %d returns %v, want ErrInvalid", year, err)
		}
	}
	first := plain()
	first.DueAt = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Second)
	insert(t, s, first)
	b := claim(t, s, parley.RelayModeOrdered)
	if r := b.Records(); len(r) != 1 || !r[0].DueAt.Equal(first.DueAt) {
		t.Errorf("claimed %+v, want the record due at %v", r, first.DueAt)
	}
	if err := b.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// Handlers may use all connections of the store: their leases must not expire because of that.
func TestFailuresWorkWhileHandlersOccupyAllConnections(t *testing.T) {
	dsn := testenv.MariaDB(t)
	own := openDSN(t, dsn)
	s, err := mysql.Open(dsn, &mysql.Config{RelayDB: own.DB()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.DB().SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = s.InTx(ctx, func(*sql.Tx) error {
		f := s.Failures()
		if _, err := f.Keep(ctx, "billing", []parley.Failure{failed([]byte("{}"))}); err != nil {
			return err
		}
		c, err := f.Claim(ctx, "billing", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute})
		if err != nil || len(c) != 1 {
			return fmt.Errorf("claimed %d rows: %w", len(c), err)
		}
		if _, err := f.Renew(ctx, []parley.FailureClaim{c[0].FailureClaim}, time.Minute); err != nil {
			return err
		}
		return f.Settle(ctx, c[0].FailureClaim, parley.FailureOutcome{})
	})
	if err != nil {
		t.Errorf("with a handler that has the only connection: %v", err)
	}
}
