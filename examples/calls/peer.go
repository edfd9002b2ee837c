package main

import (
	"context"
	"errors"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A peer is one service: its database, and a queue that receives what is published to the
// exchange of its name.
type peer struct {
	name   string
	broker *memory.Broker
	store  *memory.Store
	outbox *parley.Outbox[*memory.Tx]
	inbox  *parley.Inbox[*memory.Tx]
	relay  *parley.Relay
	router *parley.Router
}

func newPeer(b *memory.Broker, name string) (*peer, error) {
	p := &peer{name: name, broker: b, store: memory.NewStore(), router: parley.NewRouter()}
	var errs [3]error
	p.outbox, errs[0] = parley.NewOutbox(p.store, &parley.OutboxConfig{AppID: name})
	p.inbox, errs[1] = parley.NewInbox(p.store, &parley.InboxConfig{Consumer: name})
	p.relay, errs[2] = parley.NewRelay(p.store, b, nil)
	return p, errors.Join(errs[:]...)
}

func (p *peer) topology() parley.Topology {
	return parley.Topology{
		Exchanges: []parley.Exchange{{Name: p.name}},
		Queues:    []parley.Queue{{Name: p.name}},
		Bindings:  []parley.Binding{{Queue: p.name, Exchange: p.name}},
	}
}

func (p *peer) declare(ctx context.Context) error { return p.broker.Declare(ctx, p.topology()) }

func (p *peer) runners() []parley.Runner {
	consume := parley.RunnerFunc(func(ctx context.Context) error {
		c, err := parley.NewConsumer(p.broker, p.router, &parley.ConsumerConfig{Queue: p.name, Topology: p.topology()})
		if err != nil {
			return err
		}
		return c.Run(ctx)
	})
	return []parley.Runner{p.relay, consume, p.inbox}
}
