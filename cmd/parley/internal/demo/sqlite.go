package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

// A SQLite is a Storage in a SQLite file: parley's tables and a table of users.
type SQLite struct {
	*sqlite.Store
	outbox *parley.Outbox[sqlite.Tx]
}

// OpenSQLite creates the file at path with all tables. Close it after use.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	store, err := sqlite.Open(path, nil)
	if err != nil {
		return nil, err
	}
	s := &SQLite{Store: store}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: create the tables: %w", err), store.Close())
	}
	return s, nil
}

func (s *SQLite) prepare(ctx context.Context) (err error) {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if _, err := s.DB().ExecContext(ctx, "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"); err != nil {
		return err
	}
	s.outbox, err = parley.NewOutbox(s.Store, &parley.OutboxConfig{AppID: "parley-demo"})
	return err
}

// InTx implements Storage. The user's row and the events that fn publishes are written in one transaction.
func (s *SQLite) InTx(ctx context.Context, u User, fn func(in *parley.TxOutbox) error) error {
	return s.Store.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO users (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name", u.ID, u.Name)
		if err != nil {
			return err
		}
		return fn(s.outbox.In(tx))
	})
}

// Users implements Storage.
func (s *SQLite) Users(ctx context.Context) (n int, err error) {
	err = s.DB().QueryRowContext(ctx, "SELECT count(*) FROM users").Scan(&n)
	return n, err
}
