package postgres_test

import (
	"context"
	"database/sql"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

type user struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

var userRenamed = parley.NewEvent[user]("user", "renamed")

// The event is recorded in the transaction that changes the user: both happen, or neither.
func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := postgres.New(pool, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = store.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE users SET name = $1 WHERE id = $2", "Ada", 7); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, outbox.In(tx), userRenamed, user{7, "Ada"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}

// With database/sql the transaction is a *sql.Tx.
func ExampleNewSQL() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://localhost/shop") // import _ "github.com/jackc/pgx/v5/stdlib"
	if err != nil {
		log.Fatal(err)
	}
	store, err := postgres.NewSQL(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = store.InTx(ctx, func(tx postgres.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), userRenamed, user{7, "Ada"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}

// The outbox table of a Django service: Go code publishes into it, and its relay, in Python or in Go, publishes to the broker.
func ExampleNewDjangoSQL() {
	db, err := sql.Open("pgx", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	store, err := postgres.NewDjangoSQL(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := parley.NewOutbox(store, nil); err != nil {
		log.Fatal(err)
	}
}

// A handler and the table of handled messages share one transaction: a second delivery of the message has no effect.
func ExampleStore_Once() {
	var store *postgres.Store // as in the first example
	inbox, err := parley.NewInbox(store, &parley.InboxConfig{Consumer: "mail"})
	if err != nil {
		log.Fatal(err)
	}
	router := parley.NewRouter()
	parley.OnTx(router, inbox, userRenamed, func(ctx context.Context, tx pgx.Tx, e parley.Event[user]) error {
		_, err := tx.Exec(ctx, "INSERT INTO greetings (user_id) VALUES ($1)", e.Payload.ID)
		return err
	})
}
