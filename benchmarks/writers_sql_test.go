//go:build !race

package benchmarks_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/sqlite"
)

// BenchmarkWritersMariaDB has many writers that each record one event and commit, while a relay moves the records to RabbitMQ (Bare),
// and without a relay (NoRelay). The side against both is as many writers of the same row into the same table in another
// database, without a relay. Both pools keep a connection for each writer.
func BenchmarkWritersMariaDB(b *testing.B) { writersSQL(b, openMariaDBWriters) }

// BenchmarkWritersSQLite does the same on files. The bare writers share one connection, because SQLite has one writer at a time, and a
// connection that waits for another one sleeps.
func BenchmarkWritersSQLite(b *testing.B) { writersSQL(b, openSQLiteWriters) }

func writersSQL(b *testing.B, open func(b *testing.B, w *bench) *sqlWriters) {
	n := commits()
	w := setUp(b)
	s := open(b, w)
	for _, writers := range []int{1, 4, 16, 64} {
		baseline := side{"bare insert", func(b *testing.B) int {
			s.write(b, s.bare, n, writers, func(int) error { return s.insertBare(b.Context()) })
			query(b, s.bare, s.empty)
			return n
		}}
		publish := func(b *testing.B) { s.write(b, s.db, n, writers, s.publish) }
		alone := side{"parley publish", func(b *testing.B) int {
			publish(b)
			query(b, s.db, s.empty)
			return n
		}}
		moved := side{"parley publish, relay", func(b *testing.B) int {
			return w.writeWithRelay(b, s.moved(b), n, writers, func() { publish(b) })
		}}
		b.Run(fmt.Sprintf("%d/Bare", writers), func(b *testing.B) {
			for range b.N {
				compare(b, baseline, moved)
			}
		})
		b.Run(fmt.Sprintf("%d/NoRelay", writers), func(b *testing.B) {
			for range b.N {
				compare(b, baseline, alone)
			}
		})
	}
}

// sqlWriters are an outbox of package database/sql, and the same tables in a second database for bare rows.
type sqlWriters struct {
	source   parley.RelaySource
	db, bare *sql.DB
	publish  func(i int) error // records event i in a transaction of its own
	insert   string            // the bare row
	row      []any
	empty    string // empties the table
	kept     int    // connections that each pool keeps
}

func openMariaDBWriters(b *testing.B, w *bench) *sqlWriters {
	b.Helper()
	store, bare := must(mysql.Open(testenv.MariaDB(b), nil)), must(mysql.Open(testenv.MariaDB(b), nil))
	out := must(parley.NewOutbox[mysql.Tx](store, nil))
	s := &sqlWriters{source: store, db: store.DB(), bare: bare.DB(), empty: "TRUNCATE TABLE parley_outbox", kept: 80}
	s.publish = func(i int) error {
		return store.InTx(b.Context(), func(tx *sql.Tx) error {
			_, err := parley.Publish(b.Context(), out.In(tx), w.event, payload(i))
			return err
		})
	}
	for _, store := range []*mysql.Store{store, bare} {
		b.Cleanup(func() { _ = store.Close() })
		store.DB().SetMaxIdleConns(s.kept) // with the default of 2 most transactions would open a connection and close it
		if err := store.Migrate(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	s.takeRow(b, "UTC_TIMESTAMP(6)")
	return s
}

func openSQLiteWriters(b *testing.B, w *bench) *sqlWriters {
	b.Helper()
	dir := b.TempDir()
	store, bare := must(sqlite.Open(filepath.Join(dir, "outbox.db"), nil)), must(sqlite.Open(filepath.Join(dir, "bare.db"), nil))
	out := must(parley.NewOutbox[sqlite.Tx](store, nil))
	s := &sqlWriters{source: store, db: store.DB(), bare: bare.DB(), empty: "DELETE FROM parley_outbox", kept: 1}
	s.publish = func(i int) error {
		return store.InTx(b.Context(), func(tx *sql.Tx) error {
			_, err := parley.Publish(b.Context(), out.In(tx), w.event, payload(i))
			return err
		})
	}
	for _, store := range []*sqlite.Store{store, bare} {
		b.Cleanup(func() { _ = store.Close() })
		if err := store.Migrate(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	s.bare.SetMaxOpenConns(s.kept)
	s.takeRow(b, "CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000")
	return s
}

// takeRow publishes an event and takes its row for the bare side. now is the database's clock in SQL.
func (s *sqlWriters) takeRow(b *testing.B, now string) {
	b.Helper()
	if err := s.publish(1); err != nil {
		b.Fatal(err)
	}
	var exchange, key, kind, body, properties string
	err := s.db.QueryRowContext(b.Context(), "SELECT exchange, routing_key, kind, body, properties FROM parley_outbox").
		Scan(&exchange, &key, &kind, &body, &properties)
	if err != nil {
		b.Fatal(err)
	}
	query(b, s.db, s.empty)
	s.row = []any{exchange, key, kind, body, properties}
	s.insert = "INSERT INTO parley_outbox (created_at, exchange, routing_key, kind, body, properties) VALUES (" + now + ", ?, ?, ?, ?, ?)"
}

func (s *sqlWriters) insertBare(ctx context.Context) error {
	tx, err := s.bare.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, s.insert, s.row...); err != nil {
		return err
	}
	return tx.Commit()
}

// write times n transactions of writers. The connections are opened before.
func (s *sqlWriters) write(b *testing.B, db *sql.DB, n, writers int, once func(i int) error) {
	b.Helper()
	open := make([]*sql.Conn, min(writers, s.kept))
	for i := range open {
		open[i] = must(db.Conn(b.Context()))
	}
	for _, conn := range open {
		if err := conn.Close(); err != nil {
			b.Fatal(err)
		}
	}
	timed(func() {
		fromCallers(n, writers, func(i int) {
			if err := once(i); err != nil {
				b.Error(err)
			}
		})
	})
}

// moved returns the outbox for a relay.
func (s *sqlWriters) moved(b *testing.B) movable {
	return movable{
		source: s.source, publish: s.publish,
		left: func() (n int, err error) {
			err = s.db.QueryRowContext(b.Context(), "SELECT count(*) FROM parley_outbox").Scan(&n)
			return n, err
		},
		empty: func() { query(b, s.db, s.empty) },
	}
}
