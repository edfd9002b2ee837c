package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

func TestRelayDrainsTheDjangoTableOnNotification(t *testing.T) {
	pool, store := openDjango(t, "2.6")
	broker := memory.NewBroker(nil)
	ctx, cancel := context.WithCancel(t.Context())
	batches := make(chan parley.BatchReport, 100)
	relay, err := parley.NewRelay(store, broker, &parley.RelayConfig{PollInterval: time.Hour, Hooks: parley.RelayHooks{Batch: func(b parley.BatchReport) { batches <- b }}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	for i := range 5 {
		_, err := pool.Exec(ctx, "INSERT INTO "+postgres.DjangoTable+` (create_time, exchange, routing_key, is_new_style, body, send_after_time, properties)
			VALUES (now(), 'vec', 'k', true, jsonb_build_object('eventId', $1::int), now(), '{"correlation_id": null}')`, i)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-batches:
		case <-time.After(20 * time.Second):
			t.Fatal("the relay was not woken: its poll interval is an hour")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(broker.Published()); n != 5 {
		t.Errorf("published %d, want 5", n)
	}
}

func TestPoisonousDjangoRowStaysAndOthersGoOn(t *testing.T) {
	ctx := t.Context()
	pool, store := openDjango(t, "2.6")
	broker := memory.NewBroker(&memory.BrokerConfig{MaxBody: 100})
	for i, size := range []int{10, 500, 10} {
		_, err := pool.Exec(ctx, "INSERT INTO "+postgres.DjangoTable+` (id, create_time, exchange, routing_key, is_new_style, body, send_after_time)
			VALUES ($1, now(), 'vec', 'k', true, to_jsonb(repeat('x', $2)), now())`, i+1, size)
		if err != nil {
			t.Fatal(err)
		}
	}
	relay, err := parley.NewRelay(store, broker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(ctx, "SELECT id FROM "+postgres.DjangoTable)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || !slices.Equal(left, []int64{2}) {
		t.Errorf("left %v (%v), want the one that the broker refuses", left, err)
	}
}

func TestGoOnlyRelaysOnTheTableOfVersion24AndSaysSo(t *testing.T) {
	ctx := t.Context()
	pool, store := openDjango(t, "2.4")
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	remind := parley.NewEvent[struct{}]("user", "remind")
	tags := parley.Tags{"user_id": 1}
	for what, do := range map[string]func(in *parley.TxOutbox) error{
		"publish": func(in *parley.TxOutbox) error { _, err := parley.Publish(ctx, in, remind, struct{}{}); return err },
		"reschedule": func(in *parley.TxOutbox) error {
			_, err := parley.Reschedule(ctx, in, remind, tags, time.Now().Add(time.Hour))
			return err
		},
	} {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			err := do(outbox.In(tx))
			if _, usable := tx.Exec(ctx, "SELECT 1"); usable != nil {
				t.Errorf("%s: the transaction is not usable: %v", what, usable)
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "older than version 2.5") || !strings.Contains(err.Error(), "run Django's migrations") {
			t.Errorf("%s: %v, want an error that says what to do", what, err)
		}
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO "+postgres.DjangoTable+` (create_time, exchange, routing_key, event_time, aggregate, event_type, payload, tags)
			VALUES (now(), 'user', 'remind', now() + interval '1 hour', 'user', 'remind', '{}', '{"user_id": "1"}')`)
		if err != nil {
			return err
		}
		n, err := parley.Cancel(ctx, outbox.In(tx), remind, tags)
		if n != 1 {
			t.Errorf("cancelled %d, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Errorf("cancel: %v", err)
	}
}
