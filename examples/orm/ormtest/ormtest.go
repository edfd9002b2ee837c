// Package ormtest has the promises that the recipes for all ORMs keep, and the databases on which they keep them.
package ormtest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/accounts"
	"github.com/parley-go/parley/parleytest"
)

// A Recipe is a service on one ORM.
type Recipe[Tx any] interface {
	// Rename changes an account and publishes accounts.Renamed, in one transaction of the ORM.
	Rename(ctx context.Context, id int64, name string) error
	// Register registers a handler of accounts.Renamed that writes a greeting and publishes accounts.Welcomed.
	Register(r *parley.Router, inbox *parley.Inbox[Tx])
}

// tables are created on every database.
var tables = []string{
	"CREATE TABLE accounts (id BIGINT PRIMARY KEY, name VARCHAR(20) NOT NULL CHECK (name <> 'forbidden'))",
	"CREATE TABLE greetings (account_id BIGINT PRIMARY KEY, text VARCHAR(100) NOT NULL)",
	"INSERT INTO accounts (id, name) VALUES (1, 'Eve')",
}

// Check checks the promises on a database with parley's tables. open opens the recipe with the harness's outbox.
func Check[Tx any](t *testing.T, db *sql.DB, store parleytest.HandlerStore[Tx], open func(outbox *parley.Outbox[Tx]) Recipe[Tx]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, q := range tables {
		if _, err := db.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	h := parleytest.NewHarness(t, store)
	outbox, err := parley.NewOutbox(store, &parley.OutboxConfig{Propagate: func(ctx context.Context, set func(name, value string)) {
		if ctx.Value(refused{}) != nil {
			set("CC", "reserved by RabbitMQ")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.Outbox = outbox
	recipe := open(h.Outbox)
	recipe.Register(h.Router, h.Inbox)
	c := &check[Tx]{t: t, db: db, h: h, recipe: recipe}
	c.aRenameIsPublished(ctx)
	c.aRenameThatFailsIsNotPublished(ctx)
	c.aHandlerThatFailsLeavesNothing(ctx)
	c.aHandlerHasItsEffectOnce(ctx)
}

// refused is the context key of events that the outbox refuses.
type refused struct{}

type check[Tx any] struct {
	t      *testing.T
	db     *sql.DB
	h      *parleytest.Harness[Tx]
	recipe Recipe[Tx]
}

// strings returns one column of the result of a query.
func (c *check[Tx]) strings(ctx context.Context, query string) (values []string) {
	c.t.Helper()
	rows, err := c.db.QueryContext(ctx, query)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			c.t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	return values
}

// want checks the names of the accounts, the greetings, and the numbers of events in the outbox.
func (c *check[Tx]) want(ctx context.Context, after, name string, greetings []string, renamed, welcomed int) {
	c.t.Helper()
	if got := c.strings(ctx, "SELECT name FROM accounts"); !slices.Equal(got, []string{name}) {
		c.t.Errorf("after %s the accounts are %q, want %q", after, got, name)
	}
	if got := c.strings(ctx, "SELECT text FROM greetings"); !slices.Equal(got, greetings) {
		c.t.Errorf("after %s the greetings are %q, want %q", after, got, greetings)
	}
	r, w := parleytest.Published(c.t, c.h, accounts.Renamed), parleytest.Published(c.t, c.h, accounts.Welcomed)
	if len(r) != renamed || len(w) != welcomed {
		c.t.Errorf("after %s the outbox has %d and %d events, want %d and %d", after, len(r), len(w), renamed, welcomed)
	}
}

func (c *check[Tx]) aRenameIsPublished(ctx context.Context) {
	if err := c.recipe.Rename(ctx, 1, "Ada"); err != nil {
		c.t.Fatalf("rename: %v", err)
	}
	c.want(ctx, "a rename", "Ada", nil, 1, 0)
}

func (c *check[Tx]) aRenameThatFailsIsNotPublished(ctx context.Context) {
	if err := c.recipe.Rename(ctx, 1, "forbidden"); err == nil {
		c.t.Error("a name that the table forbids was accepted")
	}
	// The outbox refuses the event after the account was changed: the change must be rolled back too.
	if err := c.recipe.Rename(context.WithValue(ctx, refused{}, true), 1, "Bob"); !errors.Is(err, parley.ErrInvalid) {
		c.t.Errorf("an event with a reserved header: %v, want ErrInvalid", err)
	}
	c.want(ctx, "renames that failed", "Ada", nil, 1, 0)
}

func (c *check[Tx]) aHandlerThatFailsLeavesNothing(ctx context.Context) {
	taken := parleytest.NewEventMessage(c.t, accounts.Renamed, accounts.Account{ID: 1, Name: "Ada"})
	c.exec(ctx, "INSERT INTO greetings (account_id, text) VALUES (1, 'in the way')")
	if err := c.h.Deliver(taken); err == nil {
		c.t.Error("a greeting was written twice under one key")
	}
	c.want(ctx, "a handler that failed", "Ada", []string{"in the way"}, 1, 0)
	c.exec(ctx, "DELETE FROM greetings")
	if err := c.h.Deliver(taken); err != nil {
		c.t.Errorf("the retry: %v", err)
	}
	c.want(ctx, "the retry", "Ada", []string{"Welcome, Ada"}, 1, 1)
}

func (c *check[Tx]) aHandlerHasItsEffectOnce(ctx context.Context) {
	c.exec(ctx, "DELETE FROM greetings")
	again := parleytest.NewEventMessage(c.t, accounts.Renamed, accounts.Account{ID: 1, Name: "Ada"})
	for range 2 {
		if err := c.h.Deliver(again); err != nil {
			c.t.Errorf("deliver: %v", err)
		}
	}
	c.want(ctx, "two deliveries", "Ada", []string{"Welcome, Ada"}, 1, 2)
}

func (c *check[Tx]) exec(ctx context.Context, query string) {
	c.t.Helper()
	if _, err := c.db.ExecContext(ctx, query); err != nil {
		c.t.Fatal(err)
	}
}
