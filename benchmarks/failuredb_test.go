//go:build !race

package benchmarks_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/sqlite"
)

// A failureDB is a separate database with a table of failed deliveries, an inbox and a table of effects.
type failureDB struct {
	name  string
	store parley.FailureStore
	// fill writes n rows of a consumer, either parked or due next year.
	fill func(b *testing.B, consumer, state string, from, n int)
	// settle runs the deferred work of the database: statistics, dead rows, checkpoint.
	settle func(b *testing.B)
	// written returns the number of bytes in the server's log, or -1 if the server does not count them.
	written func(b *testing.B) float64
	// committed returns the number of transactions of the database, or -1 if the server does not count them.
	committed func(b *testing.B) float64
	// onTx registers a handler with an effect in the transaction of the inbox.
	onTx func(b *testing.B, r *parley.Router, consumer string, e *parley.EventType[user])
}

// failureDBs are the databases of the benchmarks of failure stores.
var failureDBs = []struct {
	name string
	open func(b *testing.B) *failureDB
}{{"PostgreSQL", openPostgresFailures}, {"MariaDB", openMariaDBFailures}, {"SQLite", openSQLiteFailures}}

func openPostgresFailures(b *testing.B) *failureDB {
	b.Helper()
	o := openOutbox(b)
	exec := func(b *testing.B, q string, args ...any) {
		b.Helper()
		if _, err := o.pool.Exec(b.Context(), q, args...); err != nil {
			b.Fatal(err)
		}
	}
	number := func(b *testing.B, q string) (n float64) {
		b.Helper()
		if err := o.pool.QueryRow(b.Context(), q).Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}
	exec(b, "CREATE TABLE effects (n bigint NOT NULL)")
	return &failureDB{
		name: "PostgreSQL", store: o.store.Failures(),
		fill: func(b *testing.B, consumer, state string, from, n int) {
			b.Helper()
			exec(b, `INSERT INTO parley_failed (consumer, repeat_of, ordering_key, state, due_at, parked_at, attempts, hops, first_failure,
 last_failure, first_error, last_error, reason, fingerprint, exchange, routing_key, message_id, identity, size, envelope, body)
 SELECT $1, sha256(convert_to('r' || i, 'UTF8')), CASE WHEN i % 10 = 0 THEN 'key ' || i ELSE '' END, $2::text,
 CASE WHEN $2::text = 'waiting' THEN now() + interval '1 year' + i * interval '1 second' END,
 CASE WHEN $2::text = 'parked' THEN now() - i * interval '1 second' END, 3, 3, now(), now(), 'dial tcp: connection refused',
 'dial tcp: connection refused', 'dial tcp: connection refused', md5((i % 100)::text), 'user', 'user.renamed', 'id-' || i, 'id:id-' || i,
 length($3::bytea), $4::bytea, $3::bytea FROM generate_series($5::int, $5::int + $6::int - 1) i`, consumer, state, filler().Body, fillerEnvelope(b), from, n)
		},
		settle: func(b *testing.B) { exec(b, "VACUUM ANALYZE"); exec(b, "CHECKPOINT") },
		written: func(b *testing.B) float64 {
			return number(b, "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8")
		},
		committed: func(b *testing.B) float64 {
			o.pool.Reset() // a session reports its counts when it ends
			time.Sleep(200 * time.Millisecond)
			return number(b, "SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()")
		},
		onTx: func(b *testing.B, r *parley.Router, consumer string, e *parley.EventType[user]) {
			in := must(parley.NewInbox[pgx.Tx](o.store, &parley.InboxConfig{Consumer: consumer}))
			parley.OnTx(r, in, e, func(ctx context.Context, tx pgx.Tx, e parley.Event[user]) error {
				_, err := tx.Exec(ctx, "INSERT INTO effects VALUES ($1)", e.Payload.ID)
				return err
			})
		},
	}
}

func openMariaDBFailures(b *testing.B) *failureDB {
	b.Helper()
	dsn := testenv.MariaDB(b)
	store := must(mysql.Open(dsn, nil))
	db := openSQL(b, "mysql", dsn, store.Migrate, store.Close)
	return &failureDB{
		name: "MariaDB", store: store.Failures(),
		fill: func(b *testing.B, consumer, state string, from, n int) {
			b.Helper()
			for end, step := from+n, 50_000; from < end; from += step {
				query(b, db, fmt.Sprintf(`INSERT INTO parley_failed (consumer, repeat_of, ordering_key, key_digest, state, created_at, due_at, parked_at,
 attempts, hops, first_error, last_error, reason, fingerprint, exchange, routing_key, message_id, identity, identity_digest, size)
 SELECT ?, UNHEX(SHA2(CONCAT('r', seq), 256)), IF(seq %% 10 = 0, CONCAT('key ', seq), ''),
 IF(seq %% 10 = 0, UNHEX(SHA2(CONCAT(UNHEX(LPAD(HEX(LENGTH(?)), 16, '0')), ?, 'key ', seq), 256)), NULL), ?, UTC_TIMESTAMP(6),
 IF(? = 'waiting', UTC_TIMESTAMP(6) + INTERVAL 1 YEAR + INTERVAL seq SECOND, NULL), IF(? = 'parked', UTC_TIMESTAMP(6) - INTERVAL seq SECOND, NULL),
 3, 3, 'dial tcp: connection refused', 'dial tcp: connection refused', 'dial tcp: connection refused', LEFT(SHA2(seq %% 100, 256), 32), 'user', 'user.renamed',
 CONCAT('id-', seq), CONCAT('id:id-', seq), UNHEX(SHA2(CONCAT('id:id-', seq), 256)), ? FROM seq_%d_to_%d`, from, min(from+step, end)-1),
					consumer, consumer, consumer, state, state, state, len(filler().Body))
			}
			query(b, db, "INSERT INTO parley_failed_body SELECT id, ?, ? FROM parley_failed f WHERE NOT EXISTS (SELECT 1 FROM parley_failed_body x WHERE x.id = f.id)", fillerEnvelope(b), filler().Body)
		},
		settle: func(b *testing.B) { query(b, db, "ANALYZE TABLE parley_failed, parley_failed_body") },
		written: func(b *testing.B) (n float64) {
			b.Helper()
			if err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_os_log_written'").Scan(new(string), &n); err != nil {
				b.Fatal(err)
			}
			return n
		},
		committed: uncounted,
		onTx: func(b *testing.B, r *parley.Router, consumer string, e *parley.EventType[user]) {
			in := must(parley.NewInbox[mysql.Tx](store, &parley.InboxConfig{Consumer: consumer}))
			parley.OnTx(r, in, e, func(ctx context.Context, tx mysql.Tx, e parley.Event[user]) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?)", e.Payload.ID)
				return err
			})
		},
	}
}

func openSQLiteFailures(b *testing.B) *failureDB {
	b.Helper()
	path := filepath.Join(b.TempDir(), "failures.db")
	store := must(sqlite.Open(path, nil))
	db := openSQL(b, "sqlite", path+"?_pragma=busy_timeout(60000)&_txlock=immediate", store.Migrate, store.Close)
	return &failureDB{
		name: "SQLite", store: store.Failures(),
		fill: func(b *testing.B, consumer, state string, from, n int) {
			b.Helper()
			query(b, db, `INSERT INTO parley_failed (consumer, repeat_of, ordering_key, state, created_at, due_at, parked_at, attempts, hops,
 first_error, last_error, reason, fingerprint, exchange, routing_key, message_id, identity, size)
 WITH RECURSIVE s (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM s WHERE i < ?2)
 SELECT ?3, randomblob(32), CASE WHEN i % 10 = 0 THEN 'key ' || i ELSE '' END, ?4, unixepoch() * 1000000,
 CASE WHEN ?4 = 'waiting' THEN (unixepoch() + 31536000 + i) * 1000000 END, CASE WHEN ?4 = 'parked' THEN (unixepoch() - i) * 1000000 END,
 3, 3, 'dial tcp: connection refused', 'dial tcp: connection refused', 'dial tcp: connection refused', printf('%032x', i % 100), 'user', 'user.renamed',
 'id-' || i, 'id:id-' || i, ?5 FROM s`, from, from+n-1, consumer, state, len(filler().Body))
			query(b, db, "INSERT INTO parley_failed_body SELECT id, ?, ? FROM parley_failed f WHERE NOT EXISTS (SELECT 1 FROM parley_failed_body x WHERE x.id = f.id)", fillerEnvelope(b), filler().Body)
		},
		settle:  func(b *testing.B) { query(b, db, "PRAGMA wal_checkpoint(TRUNCATE)") },
		written: uncounted, committed: uncounted,
		onTx: func(b *testing.B, r *parley.Router, consumer string, e *parley.EventType[user]) {
			in := must(parley.NewInbox[sqlite.Tx](store, &parley.InboxConfig{Consumer: consumer}))
			parley.OnTx(r, in, e, func(ctx context.Context, tx sqlite.Tx, e parley.Event[user]) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?)", e.Payload.ID)
				return err
			})
		},
	}
}

// openSQL migrates a store and opens a second pool to fill the table.
func openSQL(b *testing.B, driver, dsn string, migrate func(context.Context) error, closing func() error) *sql.DB {
	b.Helper()
	db, err := sql.Open(driver, dsn)
	if err == nil {
		err = migrate(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, err := range []error{db.Close(), closing()} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	query(b, db, "CREATE TABLE effects (n bigint NOT NULL)")
	return db
}

func query(b *testing.B, db *sql.DB, q string, args ...any) {
	b.Helper()
	if _, err := db.ExecContext(b.Context(), q, args...); err != nil {
		b.Fatal(err)
	}
}

func uncounted(*testing.B) float64 { return -1 }

// filler is the message of rows that only fill the table.
func filler() *parley.Message {
	return &parley.Message{Exchange: "user", RoutingKey: "user.renamed", Kind: parley.KindEvent, ID: "filler", Body: make([]byte, 300)}
}

func fillerEnvelope(b *testing.B) []byte {
	b.Helper()
	envelope, err := parley.EncodeEnvelope(filler())
	if err != nil {
		b.Fatal(err)
	}
	return envelope
}

// A countingStore counts a consumer's calls of its failure store. It does not support transactions of handlers.
type countingStore struct {
	parley.FailureStore
	keeps, settles, claims, nothing, looks atomic.Int64
}

func (c *countingStore) Keep(ctx context.Context, consumer string, list []parley.Failure) ([]parley.KeptFailure, error) {
	c.keeps.Add(1)
	return c.FailureStore.Keep(ctx, consumer, list)
}

func (c *countingStore) Settle(ctx context.Context, claim parley.FailureClaim, o parley.FailureOutcome) error {
	c.settles.Add(1)
	return c.FailureStore.Settle(ctx, claim, o)
}

func (c *countingStore) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	rows, err := c.FailureStore.Claim(ctx, consumer, o)
	if len(rows) > 0 {
		c.claims.Add(1)
	} else {
		c.nothing.Add(1)
	}
	return rows, err
}

func (c *countingStore) NextDue(ctx context.Context, consumer string) (time.Duration, bool, error) {
	c.looks.Add(1)
	return c.FailureStore.NextDue(ctx, consumer)
}
