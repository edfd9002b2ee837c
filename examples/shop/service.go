package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/parley-go/parley"
)

// SQL is the part of a transaction that the services use.
type SQL interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A database is the database of a service, SQLite or PostgreSQL.
type database[Tx SQL] struct {
	store interface {
		parley.OutboxStore[Tx]
		parley.InboxStore[Tx]
		parley.RelaySource
	}
	inTx func(ctx context.Context, fn func(tx Tx) error) error
	exec func(ctx context.Context, statement string) error
}

// A service is what all three have in common: a database with outbox and inbox, a relay, and
// a queue of its own.
type service[Tx SQL] struct {
	name   string
	broker parley.Broker
	db     *database[Tx]
	outbox *parley.Outbox[Tx]
	inbox  *parley.Inbox[Tx]
	router *parley.Router
	relay  *parley.Relay
	// exchanges are the exchanges that the queue is bound to.
	exchanges []string
	// schema is the SQL that creates the tables of the service.
	schema string
}

func newService[Tx SQL](name string, broker parley.Broker, open func(name string) (*database[Tx], error)) (*service[Tx], error) {
	db, err := open(name)
	if err != nil {
		return nil, err
	}
	s := &service[Tx]{name: name, broker: broker, db: db, router: parley.NewRouter()}
	var errs [3]error
	s.outbox, errs[0] = parley.NewOutbox(db.store, &parley.OutboxConfig{AppID: name})
	s.inbox, errs[1] = parley.NewInbox(db.store, &parley.InboxConfig{Consumer: name})
	s.relay, errs[2] = parley.NewRelay(db.store, broker, nil)
	return s, errors.Join(errs[:]...)
}

// prepare creates the tables and declares the exchanges and the queue. An event that is published
// before a matching queue is bound is dropped.
func (s *service[Tx]) prepare(ctx context.Context) error {
	if s.schema != "" {
		if err := s.db.exec(ctx, s.schema); err != nil {
			return err
		}
	}
	return s.broker.Declare(ctx, s.topology())
}

func (s *service[Tx]) topology() parley.Topology {
	t := parley.Topology{Queues: []parley.Queue{{Name: s.name}}}
	for _, name := range s.exchanges {
		t.Exchanges = append(t.Exchanges, parley.Exchange{Name: name})
		t.Bindings = append(t.Bindings, parley.Binding{Queue: s.name, Exchange: name})
	}
	return t
}

func (s *service[Tx]) runners() []parley.Runner {
	consume := parley.RunnerFunc(func(ctx context.Context) error {
		c, err := parley.NewConsumer(s.broker, s.router, &parley.ConsumerConfig{
			Queue: s.name, Topology: s.topology(), Concurrency: 4, Retry: parley.RetryPolicy{Delays: noDelays},
		})
		if err != nil {
			return err
		}
		return c.Run(ctx)
	})
	return []parley.Runner{s.relay, consume, s.inbox}
}
