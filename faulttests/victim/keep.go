package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
	"github.com/parley-go/parley/sqlite"
)

func keepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keep", Short: "consume, and keep failed deliveries in the database, until it is stopped", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return open(cmd, keep) },
	}
}

// keep runs a consumer on the store of the database that the settings name.
func keep(ctx context.Context, s *service.Service) error {
	switch store := s.Store().(type) {
	case *postgres.Store:
		return keepOn(ctx, s, store, store.Failures(), func(tx pgx.Tx) *service.Tx { return &service.Tx{Pgx: tx} })
	case *mysql.Store:
		return keepOn(ctx, s, store, store.Failures(), func(tx mysql.Tx) *service.Tx { return &service.Tx{SQL: tx} })
	case *sqlite.Store:
		return keepOn(ctx, s, store, store.Failures(), func(tx sqlite.Tx) *service.Tx { return &service.Tx{SQL: tx} })
	}
	return fmt.Errorf("%T has no table of failed deliveries", s.Store())
}

func keepOn[Tx any](ctx context.Context, s *service.Service, store parley.InboxStore[Tx], failures parley.FailureStore, wrap func(Tx) *service.Tx) error {
	v, err := newVictim(s)
	if err != nil {
		return err
	}
	cfg, err := keeperConfig(s)
	if err != nil {
		return err
	}
	cfg.Failures = failures
	if os.Getenv("VICTIM_WITHOUT_STORE") != "" {
		cfg.Failures = nil
	}
	inbox, err := parley.NewInbox(store, &parley.InboxConfig{Consumer: cfg.Queue, Logger: s.Logger})
	if err != nil {
		return err
	}
	options, err := keeperOrder()
	if err != nil {
		return err
	}
	r := parley.NewRouter()
	for _, event := range contracts(s) {
		if v.withoutInbox {
			parley.On(r, event, v.effectAlone, options...)
			continue
		}
		parley.OnTx(r, inbox, event, func(ctx context.Context, tx Tx, e parley.Event[fact]) error { return v.effect(ctx, wrap(tx), e) }, options...)
	}
	c, err := parley.NewConsumer(s.Broker, r, cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// keeperConfig is the configuration for a queue that the consumer declares and binds to all exchanges. VICTIM_DELIVERY_LIMIT makes it a
// quorum queue with this delivery limit.
func keeperConfig(s *service.Service) (*parley.ConsumerConfig, error) {
	poison, err := number("VICTIM_POISON_LIMIT")
	if err != nil {
		return nil, err
	}
	limit, err := number("VICTIM_DELIVERY_LIMIT")
	if err != nil {
		return nil, err
	}
	queue := parley.Queue{Name: s.Settings.Queue}
	if limit > 0 {
		queue.Arguments = map[string]any{"x-queue-type": "quorum", "x-delivery-limit": limit}
	}
	t := parley.Topology{Queues: []parley.Queue{queue}}
	for _, e := range s.Settings.Exchanges {
		t.Exchanges = append(t.Exchanges, parley.Exchange{Name: e.Name})
		t.Bindings = append(t.Bindings, parley.Binding{Queue: queue.Name, Exchange: e.Name})
	}
	return &parley.ConsumerConfig{
		Queue: queue.Name, Topology: t, Concurrency: 8, Logger: s.Logger, PoisonLimit: int(poison),
		Retry:      parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second, time.Second, time.Second, time.Second}},
		KillSwitch: parley.KillSwitchConfig{Share: 2}, // only single messages fail here
		Hooks: parley.ConsumerHooks{
			Subscribed: func(up bool, cause error) {
				if up {
					s.Logger.Info("victim: subscribed", "queue", queue.Name)
				}
			},
			Stale: func(d *parley.Delivery) { s.Logger.Info("victim: claim lost to another process", "message_id", d.ID) },
		},
	}, nil
}

// keeperOrder orders the events of an exchange by their number modulo VICTIM_KEYS, if it is set.
func keeperOrder() ([]parley.RouteOption, error) {
	keys, err := number("VICTIM_KEYS")
	if err != nil || keys == 0 {
		return nil, err
	}
	options := []parley.RouteOption{parley.Ordered(func(d *parley.Delivery) string {
		var body struct {
			Payload fact `json:"payload"`
		}
		if err := json.Unmarshal(d.Body, &body); err != nil {
			panic(err)
		}
		return d.Exchange + " " + strconv.FormatInt(body.Payload.Number%keys, 10)
	})}
	if os.Getenv("VICTIM_HOLD") != "" {
		options = append(options, parley.HoldKey())
	}
	return options, nil
}
