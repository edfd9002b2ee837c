package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// Two consumers share a database. Each has its own retention: the shorter one must not delete the identities of the other.
func TestTheInboxOfOneConsumerKeepsTheIdentitiesOfAnother(t *testing.T) {
	pool, store := openPgx(t)
	none := func(context.Context, pgx.Tx) error { return nil }
	if err := store.Once(t.Context(), "audit", "id:1", none); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "UPDATE parley_inbox SET seen_at = now() - interval '8 days'"); err != nil {
		t.Fatal(err)
	}
	audit, err := parley.NewInbox(parley.InboxStore[pgx.Tx](store), &parley.InboxConfig{Consumer: "audit", Retention: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	mail, err := parley.NewInbox(parley.InboxStore[pgx.Tx](store), &parley.InboxConfig{Consumer: "mail"}) // 7 days
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []*parley.Inbox[pgx.Tx]{audit, mail} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := in.Run(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if err := store.Once(t.Context(), "audit", "id:1", none); !errors.Is(err, parley.ErrDuplicate) {
		t.Errorf("a message that audit has handled 8 days ago, with a retention of 90 days, is handled again (%v)", err)
	}
}
