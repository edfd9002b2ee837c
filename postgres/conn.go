package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// conn is the subset of operations that the transactions of both drivers support. Parameters are text, numbers and nil only.
type conn interface {
	exec(ctx context.Context, query string, args ...any) (int, error)
	query(ctx context.Context, query string, scan func(row scanner) error, args ...any) error
	// array returns a as a parameter of type text[].
	array(a textArray) any
	commit(ctx context.Context) error
	rollback(ctx context.Context) error
}

type scanner interface{ Scan(dst ...any) error }

type pgxConn struct{ tx pgx.Tx }

func (c pgxConn) exec(ctx context.Context, query string, args ...any) (int, error) {
	tag, err := c.tx.Exec(ctx, query, args...)
	return int(tag.RowsAffected()), missingTables(err)
}

func (c pgxConn) query(ctx context.Context, query string, scan func(scanner) error, args ...any) error {
	rows, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return missingTables(err)
	}
	defer rows.Close()
	if err := scanAll(rows, scan); err != nil {
		return err
	}
	return missingTables(rows.Err())
}

// missingTables makes the error for a missing table a parley.ErrNoTables, with the command that creates the table.
func missingTables(err error) error {
	var e interface{ SQLState() string } // of every driver
	if !errors.As(err, &e) || e.SQLState() != "42P01" || errors.Is(err, parley.ErrNoTables) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", parley.ErrNoTables, sqlstore.MigrateHint(err.Error()), err)
}

// rowsOf is the interface of the rows of both drivers.
type rowsOf interface {
	scanner
	Next() bool
}

func scanAll(rows rowsOf, scan func(scanner) error) error {
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return nil
}

func (c pgxConn) array(a textArray) any { return []*string(a) }

func (c pgxConn) commit(ctx context.Context) error { return c.tx.Commit(ctx) }

// rollbackTimeout limits a rollback: a frozen server would block its caller indefinitely. After the timeout the
// connection is closed, which also rolls back.
const rollbackTimeout = 5 * time.Second

func (c pgxConn) rollback(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rollbackTimeout)
	defer cancel()
	if err := c.tx.Rollback(ctx); !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

type sqlConn struct{ tx Tx }

func (c sqlConn) exec(ctx context.Context, query string, args ...any) (int, error) {
	res, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, missingTables(err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func (c sqlConn) query(ctx context.Context, query string, scan func(scanner) error, args ...any) error {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return missingTables(err)
	}
	defer rows.Close()
	if err := scanAll(rows, scan); err != nil {
		return err
	}
	return missingTables(rows.Err())
}

func (c sqlConn) array(a textArray) any { return a.String() }

func (c sqlConn) commit(context.Context) error { return c.tx.Commit() }

func (c sqlConn) rollback(context.Context) error {
	if err := c.tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// A textArray is a PostgreSQL array of texts.
type textArray []*string

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// String returns the array in text form, which every driver can send.
func (a textArray) String() string {
	var b strings.Builder
	for i, text := range a {
		b.WriteByte("{,"[min(i, 1)])
		if text == nil {
			b.WriteString("NULL")
			continue
		}
		b.WriteByte('"')
		_, _ = arrayEscapes.WriteString(&b, *text) // a builder returns no errors
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// idList returns ids as a PostgreSQL array in text form, which every driver can send.
func idList(ids []int64) string {
	b := make([]byte, 0, 8*len(ids)+2)
	b = append(b, '{')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, '}'))
}
