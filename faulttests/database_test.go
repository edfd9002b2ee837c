//go:build unix

package faulttests_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

// ledgerSchema creates the tables of the tests. The producer's transactions write the ledger;
// undone is written outside of them, for the transactions that roll back. Neither effects nor replies
// have a unique key, so that a second effect is visible. NOW stands for a time column with the database's clock as default.
const ledgerSchema = `
CREATE TABLE ledger (number bigint PRIMARY KEY, exchange text NOT NULL, event_id bigint NOT NULL, fate text NOT NULL, at NOW);
CREATE TABLE undone (number bigint PRIMARY KEY, exchange text NOT NULL);
CREATE TABLE effects (number bigint NOT NULL, process int NOT NULL, at NOW);
CREATE INDEX effects_number ON effects (number);
CREATE TABLE replies (number bigint NOT NULL, answer text NOT NULL)`

// clocks are the replacements of NOW.
var clocks = map[string]string{
	"postgres": "timestamptz NOT NULL DEFAULT clock_timestamp()",
	"mysql":    "datetime(6) NOT NULL DEFAULT current_timestamp(6)",
	"sqlite":   "text NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))",
}

func newMariaDBLab(t *testing.T, exchanges int) *lab {
	t.Helper()
	notShort(t)
	c, err := mysql.ParseDSN(testenv.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(c.User, c.Passwd), Host: c.Addr, Path: "/" + c.DBName}
	return newLabOn(t, u.String(), testenv.RabbitMQ(t), exchanges)
}

func newSQLiteLab(t *testing.T, exchanges int) *lab {
	t.Helper()
	notShort(t)
	return newLabOn(t, "sqlite:"+filepath.Join(t.TempDir(), "lab.db"), testenv.RabbitMQ(t), exchanges)
}

// A transaction is a transaction of any of the lab's databases.
type transaction struct {
	outbox  *parley.TxOutbox
	execute func(ctx context.Context, statement string) error
}

// open opens the lab's database and creates the tables.
func (l *lab) open() {
	l.t.Helper()
	scheme, _, _ := strings.Cut(l.database, ":")
	if scheme == "postgres" {
		l.openPostgres()
	} else {
		l.openService()
	}
	for statement := range strings.SplitSeq(strings.ReplaceAll(ledgerSchema, "NOW", clocks[scheme]), ";") {
		if _, err := l.db.ExecContext(l.t.Context(), statement); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lab) openPostgres() {
	l.t.Helper()
	var err error
	if l.pool, err = pgxpool.New(l.t.Context(), l.database); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(l.pool.Close)
	l.db = stdlib.OpenDBFromPool(l.pool)
	l.t.Cleanup(func() { _ = l.db.Close() })
	if l.store, err = postgres.New(l.pool, nil); err == nil {
		err = l.store.Migrate(l.t.Context())
	}
	if err == nil {
		l.outbox, err = parley.NewOutbox(l.store, &parley.OutboxConfig{AppID: "faults"})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.inTx = func(ctx context.Context, fn func(tx transaction) error) error {
		return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
			return fn(transaction{l.outbox.In(tx), func(ctx context.Context, statement string) error {
				_, err := tx.Exec(ctx, statement)
				return err
			}})
		})
	}
}

// openService opens a database through database/sql.
func (l *lab) openService() {
	l.t.Helper()
	loaded, err := settings.Load(&settings.LoadOptions{Environ: []string{"PARLEY_APP_ID=faults", "PARLEY_DATABASE_URL=" + l.database}})
	if err != nil {
		l.t.Fatal(err)
	}
	s, err := service.Open(loaded, &service.Config{Logger: quiet})
	if err == nil {
		l.t.Cleanup(func() { _ = s.Close(context.Background()) }) // a private server may have stopped
		err = s.Migrate(l.t.Context())
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.service = s
	l.db = s.Store().(interface{ DB() *sql.DB }).DB()
	l.inTx = func(ctx context.Context, fn func(tx transaction) error) error {
		return s.InTx(ctx, func(tx *service.Tx) error {
			return fn(transaction{s.Outbox.In(tx), func(ctx context.Context, statement string) error {
				_, err := tx.SQL.ExecContext(ctx, statement)
				return err
			}})
		})
	}
}

// ledgerLines returns a statement that writes events into the ledger. It has no parameters, because their syntax differs
// between databases.
func ledgerLines(exchange string, numbers, ids []int64) string {
	lines := make([]string, len(numbers))
	for i := range lines {
		lines[i] = fmt.Sprintf("(%d, '%s', %d, '%s')", numbers[i], exchange, ids[i], committed)
	}
	return "INSERT INTO ledger (number, exchange, event_id, fate) VALUES " + strings.Join(lines, ", ")
}

func undoneLines(exchange string, numbers []int64) string {
	lines := make([]string, len(numbers))
	for i := range lines {
		lines[i] = fmt.Sprintf("(%d, '%s')", numbers[i], exchange)
	}
	return "INSERT INTO undone (number, exchange) VALUES " + strings.Join(lines, ", ")
}
