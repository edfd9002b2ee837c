package mysql_test

import (
	"context"
	"database/sql"
	"log"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

type user struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

var userRenamed = parley.NewEvent[user]("user", "renamed")

// The event is recorded in the transaction that changes the user: both happen, or neither.
func Example() {
	ctx := context.Background()
	store, err := mysql.Open("shop:secret@tcp(localhost:3306)/shop?parseTime=true", nil)
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
	err = store.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE users SET name = ? WHERE id = ?", "Ada", 7); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, outbox.In(tx), userRenamed, user{7, "Ada"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}
