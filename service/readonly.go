package service

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrReadOnly means that the database is reachable but accepts no writes, such as a standby. [Database.Ping] returns it.
var ErrReadOnly = errors.New("the database is read-only")

// A readOnlyError says why the database is read-only.
type readOnlyError string

func (e readOnlyError) Error() string { return string(e) }

// Is makes every readOnlyError an [ErrReadOnly].
func (readOnlyError) Is(target error) bool { return target == ErrReadOnly }

const (
	errStandby       readOnlyError = "the database is a read-only standby"
	errDefaultToRead readOnlyError = "the database is read-only (default_transaction_read_only is on)"
)

// pingPostgres returns nil if the server answers and accepts writes.
func pingPostgres(ctx context.Context, pool *pgxpool.Pool) error {
	var standby, readOnly bool
	err := pool.QueryRow(ctx, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'").Scan(&standby, &readOnly)
	switch {
	case err != nil:
		return err
	case standby:
		return errStandby
	case readOnly:
		return errDefaultToRead
	}
	return nil
}

// pingMySQL returns nil if the server answers and accepts writes. super_read_only implies read_only.
func pingMySQL(ctx context.Context, db *sql.DB) error {
	var readOnly, engine string
	if err := db.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only").Scan(&readOnly, &engine); err != nil {
		return err
	}
	if isOn(readOnly) || isOn(engine) {
		return errStandby
	}
	return nil
}

// isOn reads a server variable, which newer servers may report as a word.
func isOn(value string) bool { return value != "0" && value != "OFF" }
