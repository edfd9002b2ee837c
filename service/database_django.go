package service

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/service/settings"
)

// DjangoTable is the outbox table of a Django service, a value of database.table.
const DjangoTable = postgres.DjangoTable

// overDjango is a store whose outbox is the table of a Django service. Inbox and parked records are in parley's own tables. A
// relay alone does not need those.
type overDjango[T any] struct {
	djangoOutbox[T]
	parley.InboxStore[T]
	parley.ParkedStore
}

// djangoOutbox is what the stores on Django's table implement.
type djangoOutbox[T any] interface {
	parley.OutboxStore[T]
	parley.RelaySource
	parley.RelayWaker
	parley.OutboxInspector
	parley.OutboxSummarizer
}

func postgresDjango(pool, relay *pgxpool.Pool, own *postgres.Store, s *settings.Settings, log *slog.Logger) (overDjango[pgx.Tx], error) {
	outbox, err := postgres.NewDjango(pool, &postgres.DjangoConfig{Schema: s.Database.Schema, AppID: s.AppID, PollOnly: s.Database.PollOnly, RelayPool: relay, Logger: log})
	return overDjango[pgx.Tx]{outbox, own, own}, err
}

// Blockers implements parley.BlockerInspector.
func (o overDjango[T]) Blockers(ctx context.Context) ([]parley.Blocker, error) {
	return blockersOf(ctx, o.djangoOutbox)
}

// Watch implements parley.RelayWaker.
func (o overDjango[T]) Watch(ctx context.Context, wake func()) error {
	return o.djangoOutbox.Watch(ctx, wake)
}
