// Package withgorm publishes and handles events with gorm. For MySQL or SQLite use mysql.Tx or sqlite.Tx in place of postgres.Tx.
package withgorm

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/accounts"
	"github.com/parley-go/parley/postgres"
)

// Account and Greeting are the models.
type (
	Account struct {
		ID   int64
		Name string
	}
	Greeting struct {
		AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
		Text      string
	}
)

// Service uses one database, through gorm and through parley.
type Service struct {
	DB     *gorm.DB
	Outbox *parley.Outbox[postgres.Tx]
}

// txOf returns the transaction of a *gorm.DB. It is a *sql.Tx, or gorm's wrapper around one with PrepareStmt.
func txOf(db *gorm.DB) (postgres.Tx, error) {
	tx, ok := db.Statement.ConnPool.(postgres.Tx)
	if !ok {
		return nil, fmt.Errorf("gorm: no transaction is open (the connection is a %T)", db.Statement.ConnPool)
	}
	return tx, nil
}

// Rename changes an account and publishes the event, in one transaction.
func (s *Service) Rename(ctx context.Context, id int64, name string) error {
	return s.DB.WithContext(ctx).Transaction(func(db *gorm.DB) error {
		if err := db.Model(&Account{ID: id}).Update("name", name).Error; err != nil {
			return err
		}
		tx, err := txOf(db)
		if err != nil {
			return err
		}
		_, err = parley.Publish(ctx, s.Outbox.In(tx), accounts.Renamed, accounts.Account{ID: id, Name: name})
		return err
	})
}

// within returns db within a transaction that parley has begun. The session needs a context: without one, gorm shares the statement
// with db, and all other users of db would get into the transaction.
func within(ctx context.Context, db *gorm.DB, tx postgres.Tx) *gorm.DB {
	session := db.Session(&gorm.Session{NewDB: true, Context: ctx})
	session.Statement.ConnPool = tx.(gorm.ConnPool) // a *sql.Tx
	return session
}

// Welcome handles a renamed account.
func (s *Service) Welcome(ctx context.Context, tx postgres.Tx, e parley.Event[accounts.Account]) error {
	db := within(ctx, s.DB, tx)
	if err := db.Create(&Greeting{AccountID: e.Payload.ID, Text: "Welcome, " + e.Payload.Name}).Error; err != nil {
		return err
	}
	_, err := parley.Publish(ctx, s.Outbox.In(tx), accounts.Welcomed, e.Payload)
	return err
}

// Register registers the handler.
func (s *Service) Register(r *parley.Router, inbox *parley.Inbox[postgres.Tx]) {
	parley.OnTx(r, inbox, accounts.Renamed, s.Welcome)
}
