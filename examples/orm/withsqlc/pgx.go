// Package withsqlc publishes and handles events with the code that sqlc generates: Service for pgx, SQLService for database/sql.
package withsqlc

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/accounts"
	"github.com/parley-go/parley/examples/orm/withsqlc/pgxdb"
)

// Service uses one PostgreSQL database, through sqlc's code for pgx and through parley.
type Service struct {
	Pool   *pgxpool.Pool
	Outbox *parley.Outbox[pgx.Tx]
}

// Rename changes an account and publishes the event, in one transaction.
func (s *Service) Rename(ctx context.Context, id int64, name string) error {
	return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if err := pgxdb.New(tx).RenameAccount(ctx, pgxdb.RenameAccountParams{ID: id, Name: name}); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Renamed, accounts.Account{ID: id, Name: name})
		return err
	})
}

// Welcome handles a renamed account.
func (s *Service) Welcome(ctx context.Context, tx pgx.Tx, e parley.Event[accounts.Account]) error {
	greeting := pgxdb.CreateGreetingParams{AccountID: e.Payload.ID, Text: "Welcome, " + e.Payload.Name}
	if err := pgxdb.New(tx).CreateGreeting(ctx, greeting); err != nil {
		return err
	}
	_, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Welcomed, e.Payload)
	return err
}

// Register registers the handler.
func (s *Service) Register(r *parley.Router, inbox *parley.Inbox[pgx.Tx]) {
	parley.OnTx(r, inbox, accounts.Renamed, s.Welcome)
}
