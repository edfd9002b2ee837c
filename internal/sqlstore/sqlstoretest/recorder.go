package sqlstoretest

import (
	"context"
	"database/sql"

	"github.com/parley-go/parley/internal/sqlstore"
)

// A Recorder is a transaction that records its statements, so that a test can check
// their plans.
type Recorder struct {
	sqlstore.Tx
	Statements []Statement
}

// A Statement is an executed statement.
type Statement struct {
	Query string
	Args  []any
}

func (r *Recorder) note(query string, args []any) {
	r.Statements = append(r.Statements, Statement{query, args})
}

// ExecContext implements sqlstore.Tx.
func (r *Recorder) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	r.note(query, args)
	return r.Tx.ExecContext(ctx, query, args...)
}

// QueryContext implements sqlstore.Tx.
func (r *Recorder) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	r.note(query, args)
	return r.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements sqlstore.Tx.
func (r *Recorder) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	r.note(query, args)
	return r.Tx.QueryRowContext(ctx, query, args...)
}
