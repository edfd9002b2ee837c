package service

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// djangoTable is the outbox of a Django service, in the words of database.table.
const djangoTable = postgres.DjangoTable

// overDjango is a store whose outbox is the table of a Django service. Inbox and parked records
// are in parley's own tables, which need not exist for a relay.
type overDjango[T any] struct {
	djangoOutbox[T]
	parley.InboxStore[T]
	parley.ParkedStore
}

// djangoOutbox is what the stores on Django's table can do.
type djangoOutbox[T any] interface {
	parley.OutboxStore[T]
	parley.RelaySource
	parley.RelayWaker
	parley.OutboxInspector
}

func postgresDjango(pool *pgxpool.Pool, own *postgres.Store, s *Settings) (overDjango[pgx.Tx], error) {
	outbox, err := postgres.NewDjango(pool, &postgres.DjangoConfig{Schema: s.Database.Schema, AppID: s.AppID, PollOnly: s.Database.PollOnly})
	return overDjango[pgx.Tx]{outbox, own, own}, err
}

// Watch implements parley.RelayWaker.
func (o overDjango[T]) Watch(ctx context.Context, wake func()) error {
	return o.djangoOutbox.Watch(ctx, wake)
}
