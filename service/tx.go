package service

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/memory"
)

// SQLTx is a transaction of database/sql, as *sql.Tx has it.
type SQLTx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

// A Tx is a transaction of the service's database, whichever that is: exactly one of Pgx, SQL
// and Memory is not nil. Write with it what belongs to the handler, and publish in the same
// transaction with Service.Outbox.In(tx).
type Tx struct {
	// Pgx is the transaction on PostgreSQL.
	Pgx pgx.Tx
	// SQL is the transaction on SQLite, MySQL and MariaDB.
	SQL SQLTx
	// Memory is the transaction on a "memory:" database.
	Memory *memory.Tx
}
