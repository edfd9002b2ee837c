package service

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/memory"
)

// SQLTx is the interface of *sql.Tx that handlers use.
type SQLTx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

// A Tx is a transaction of the service's database. Exactly one of Pgx, SQL and Memory is not nil. A handler writes its own tables
// with it and publishes in the same transaction with Service.Outbox.In(tx).
type Tx struct {
	// Pgx is the transaction on PostgreSQL.
	Pgx pgx.Tx
	// SQL is the transaction on SQLite, MySQL and MariaDB.
	SQL SQLTx
	// Memory is the transaction on a "memory:" database.
	Memory *memory.Tx
}
