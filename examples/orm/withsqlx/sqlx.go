// Package withsqlx publishes and handles events with sqlx. For MySQL or SQLite use mysql.Tx or sqlite.Tx in place of postgres.Tx.
package withsqlx

import (
	"context"
	"database/sql"

	"github.com/jmoiron/sqlx"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/accounts"
	"github.com/parley-go/parley/postgres"
)

// A Greeting is a row.
type Greeting struct {
	AccountID int64  `db:"account_id"`
	Text      string `db:"text"`
}

// Service uses one database, through sqlx and through parley.
type Service struct {
	DB     *sqlx.DB
	Outbox *parley.Outbox[postgres.Tx]
}

// Rename changes an account and publishes the event, in one transaction. A *sqlx.Tx embeds a *sql.Tx, so the outbox takes it.
func (s *Service) Rename(ctx context.Context, id int64, name string) error {
	tx, err := s.DB.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	account := accounts.Account{ID: id, Name: name}
	if _, err := tx.NamedExecContext(ctx, "UPDATE accounts SET name = :name WHERE id = :id", account); err != nil {
		return err
	}
	if _, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Renamed, account); err != nil {
		return err
	}
	return tx.Commit()
}

// within returns the *sqlx.Tx of a transaction that parley has begun. It does not know the database's placeholders, so write named queries with
// DB.BindNamed, as Welcome does, and others with DB.Rebind.
func within(db *sqlx.DB, tx postgres.Tx) *sqlx.Tx {
	return &sqlx.Tx{Tx: tx.(*sql.Tx), Mapper: db.Mapper}
}

// Welcome handles a renamed account.
func (s *Service) Welcome(ctx context.Context, tx postgres.Tx, e parley.Event[accounts.Account]) error {
	var name string
	if err := within(s.DB, tx).GetContext(ctx, &name, s.DB.Rebind("SELECT name FROM accounts WHERE id = ?"), e.Payload.ID); err != nil {
		return err
	}
	query, args, err := s.DB.BindNamed("INSERT INTO greetings (account_id, text) VALUES (:account_id, :text)",
		Greeting{AccountID: e.Payload.ID, Text: "Welcome, " + name})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return err
	}
	_, err = parley.Publish(ctx, s.Outbox.In(tx), accounts.Welcomed, e.Payload)
	return err
}

// Register registers the handler.
func (s *Service) Register(r *parley.Router, inbox *parley.Inbox[postgres.Tx]) {
	parley.OnTx(r, inbox, accounts.Renamed, s.Welcome)
}
