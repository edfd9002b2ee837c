//go:build unix

package faulttests_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/sqlite"
)

// A failureTable is a table of failed deliveries, with the methods for operators.
type failureTable interface {
	parley.FailureStore
	parley.FailureOperator
}

// failures returns the lab's table, independent of the consumers.
func (l *lab) failures() failureTable {
	l.t.Helper()
	if l.store != nil {
		return l.store.Failures()
	}
	switch store := l.service.Store().(type) {
	case *mysql.Store:
		return store.Failures()
	case *sqlite.Store:
		return store.Failures()
	}
	l.t.Fatalf("%T has no table of failed deliveries", l.service.Store())
	return nil
}

// keeper is a consumer with a failure store, in a child process.
func (l *lab) keeper(settings ...string) childSpec {
	s := l.child("keeper")
	s.Fail, s.Settings = 5, append([]string{"PARLEY_DATABASE_MAX_CONNECTIONS=4"}, settings...) // many children share a server
	return s
}

// failed counts the rows in the given states, or all rows.
func (l *lab) failed(states ...parley.FailureState) int {
	l.t.Helper()
	where := ""
	for i, state := range states {
		where += fmt.Sprintf("%s state = '%s'", []string{" OR", " WHERE"}[btoi(i == 0)], state)
	}
	return l.count("parley_failed" + where)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// endClaims ends the leases of dead consumers.
func (l *lab) endClaims() {
	l.t.Helper()
	past := "'2000-01-01'"
	if l.service != nil {
		if _, ok := l.service.Store().(*sqlite.Store); ok {
			past = "0"
		}
	}
	if _, err := l.db.ExecContext(l.t.Context(), "UPDATE parley_failed SET due_at = "+past+" WHERE state = 'running'"); err != nil {
		l.t.Fatal(err)
	}
}

// feed commits events until done returns true.
func (l *lab) feed(what string, happened func() bool) {
	l.t.Helper()
	w := writer{l: l, group: 5}
	eventually(l.t, what, func() bool {
		if happened() {
			return true
		}
		if waiting, err := l.ready(l.queue); err == nil && waiting < 20 { // a backlog would only slow down the end of the test
			w.exchange = (w.exchange + 1) % len(l.exchanges)
			if err := w.write(l.t.Context()); err != nil {
				l.t.Fatal(err)
			}
		}
		return false
	})
}

// dead reports whether the process has ended.
func (p *process) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// effectsByKey returns the effects as arrivals in their order, with the key in place of the exchange.
func (l *lab) effectsByKey(keys int64) (out []arrival) {
	l.t.Helper()
	order := "effects.at"
	if l.service != nil {
		if _, ok := l.service.Store().(*sqlite.Store); ok {
			order = "effects.rowid" // its clock has milliseconds only, but there is one writer at a time
		}
	}
	var a arrival
	l.each(l.t.Context(), "SELECT ledger.number, exchange, event_id FROM effects JOIN ledger ON ledger.number = effects.number ORDER BY "+order, func() {
		b := a
		b.exchange += " " + strconv.FormatInt(b.number%keys, 10)
		out = append(out, b)
	}, &a.number, &a.exchange, &a.event)
	return out
}

// withoutFailures waits until every event has had its effect and the table is empty.
func (l *lab) withoutFailures(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			l.t.Logf("the table holds %d rows, %d of them running, %d behind, %d begun twice or more", l.failed(), l.failed(parley.FailureRunning),
				l.failed(parley.FailureBehind), l.count("parley_failed WHERE begun > 1"))
		}
	})
	// Events that were unacked at several process ends are handled alone, one after another.
	progressing(t, "every event has had its effect", func() (int, error) {
		return l.tryCount("ledger WHERE number NOT IN (SELECT number FROM effects)")
	})
	eventually(t, "the table of failed deliveries is empty", func() bool { n, err := l.tryCount("parley_failed"); return err == nil && n == 0 })
}
