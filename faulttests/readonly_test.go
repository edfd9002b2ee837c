//go:build unix

package faulttests_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// A record that cannot be deleted is not published. A session keeps its initial mode, so the relay has to close the sessions
// that it opened while the database was read-only.
func TestARelayOnAReadOnlyDatabasePublishesNothingUntilItCanDelete(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.produce(300)
	l.readOnly("on")
	relay := l.relay(l.database, l.broker, nil)
	eventually(t, "the relay has logged several errors", func() bool { return relay.errs.Load() >= 3 })
	if n, err := l.ready(l.queue); err != nil || n != 0 || relay.accepted.Load() != 0 {
		t.Errorf("%d messages were published although they cannot be deleted (%v)", n, err)
	}
	felt := int(relay.errs.Load())
	l.readOnly("off")
	took := l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	r := f.row("a database that is read-only", felt)
	r.recovery = took
	counts.add(t, r)
}

// readOnly sets whether the transactions of new sessions are read-only.
func (l *lab) readOnly(value string) {
	l.t.Helper()
	err := pgx.BeginTxFunc(l.t.Context(), l.pool, pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		name := pgx.Identifier{l.pool.Config().ConnConfig.Database}.Sanitize()
		_, err := tx.Exec(l.t.Context(), "ALTER DATABASE "+name+" SET default_transaction_read_only = "+value)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}
