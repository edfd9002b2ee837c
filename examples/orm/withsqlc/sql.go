package withsqlc

import (
	"context"
	"database/sql"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/accounts"
	"github.com/parley-go/parley/examples/orm/withsqlc/sqlitedb"
	"github.com/parley-go/parley/sqlite"
)

// SQLService uses one SQLite file, through sqlc's code for database/sql and through parley.
type SQLService struct {
	Store  *sqlite.Store
	Outbox *parley.Outbox[sqlite.Tx]
}

// Rename changes an account and publishes the event, in one transaction.
func (s *SQLService) Rename(ctx context.Context, id int64, name string) error {
	return s.Store.InTx(ctx, func(tx *sql.Tx) error {
		if err := sqlitedb.New(tx).RenameAccount(ctx, sqlitedb.RenameAccountParams{ID: id, Name: name}); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Renamed, accounts.Account{ID: id, Name: name})
		return err
	})
}

// Welcome handles a renamed account. sqlc's New wants PrepareContext, which *sql.Tx has and sqlite.Tx does not ask for.
func (s *SQLService) Welcome(ctx context.Context, tx sqlite.Tx, e parley.Event[accounts.Account]) error {
	queries := sqlitedb.New(tx.(*sql.Tx))
	greeting := sqlitedb.CreateGreetingParams{AccountID: e.Payload.ID, Text: "Welcome, " + e.Payload.Name}
	if err := queries.CreateGreeting(ctx, greeting); err != nil {
		return err
	}
	_, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Welcomed, e.Payload)
	return err
}

// Register registers the handler.
func (s *SQLService) Register(r *parley.Router, inbox *parley.Inbox[sqlite.Tx]) {
	parley.OnTx(r, inbox, accounts.Renamed, s.Welcome)
}
