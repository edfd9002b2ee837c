// Package withbun publishes and handles events with bun. For MySQL or SQLite use mysql.Tx or sqlite.Tx in place of postgres.Tx.
package withbun

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/accounts"
	"github.com/parley-go/parley/postgres"
)

// Account and Greeting are the models.
type (
	Account struct {
		ID   int64 `bun:",pk"`
		Name string
	}
	Greeting struct {
		AccountID int64 `bun:",pk"`
		Text      string
	}
)

// Service uses one database, through bun and through parley.
type Service struct {
	DB     *bun.DB
	Outbox *parley.Outbox[postgres.Tx]
}

// Rename changes an account and publishes the event, in one transaction. Pass tx.Tx, the *sql.Tx within bun.Tx: bun.Tx
// itself would treat parley's SQL as a template of bun.
func (s *Service) Rename(ctx context.Context, id int64, name string) error {
	return s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewUpdate().Model(&Account{ID: id, Name: name}).WherePK().Exec(ctx); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, s.Outbox.In(tx.Tx), accounts.Renamed, accounts.Account{ID: id, Name: name})
		return err
	})
}

// Welcome handles a renamed account. Conn runs a query of bun in the transaction that parley has begun.
func (s *Service) Welcome(ctx context.Context, tx postgres.Tx, e parley.Event[accounts.Account]) error {
	greeting := &Greeting{AccountID: e.Payload.ID, Text: "Welcome, " + e.Payload.Name}
	if _, err := s.DB.NewInsert().Model(greeting).Conn(tx).Exec(ctx); err != nil {
		return err
	}
	_, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Welcomed, e.Payload)
	return err
}

// Register registers the handler.
func (s *Service) Register(r *parley.Router, inbox *parley.Inbox[postgres.Tx]) {
	parley.OnTx(r, inbox, accounts.Renamed, s.Welcome)
}
