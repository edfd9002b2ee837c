package parley_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// failed returns a failure of message number n, as a consumer keeps it.
func failed(id string, state parley.FailureState) parley.Failure {
	return parley.Failure{
		Message: parley.Message{Exchange: "user", RoutingKey: "renamed", ID: id, Body: []byte("{}")},
		History: parley.History{Attempts: 3, Retries: 1, LastError: "no", Reason: "used up"},
		State:   state, After: time.Hour, Identity: "id:" + id,
	}
}

// keepAndDeclare puts failures into a store, and declares the queue that they return to.
func keepAndDeclare(t *testing.T, list ...parley.Failure) (*memory.Broker, *memory.Failures) {
	t.Helper()
	broker, store := memory.NewBroker(nil), memory.NewStore().Failures()
	_, err := store.Keep(t.Context(), "orders", list)
	err = errors.Join(err, broker.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: "orders"}}}))
	if err != nil {
		t.Fatal(err)
	}
	return broker, store
}

func rowsLeft(t *testing.T, store parley.FailureOperator) int {
	t.Helper()
	rows, err := store.List(t.Context(), parley.FailureQuery{}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func TestReturnedFailuresAreHandledByAConsumerWithoutADatabaseWithTheirHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, store := keepAndDeclare(t, failed("waits", parley.FailureWaiting), failed("parked", parley.FailureParked))
		report, err := parley.ReturnFailures(t.Context(), broker, store, parley.FailureQuery{Consumer: "orders"}, parley.ReturnOptions{Queue: "orders"})
		if err != nil || report.Returned != 2 || rowsLeft(t, store) != 0 {
			t.Fatalf("returned %+v (%v), %d rows left; want 2 returned, none left", report, err, rowsLeft(t, store))
		}
		router, got := parley.NewRouter(), make(chan *parley.Delivery, 2)
		router.Handle("user", "renamed", parley.HandlerFunc(func(_ context.Context, d *parley.Delivery) error {
			got <- d
			return nil
		}))
		consumer := must(parley.NewConsumer(broker, router, &parley.ConsumerConfig{Queue: "orders", Concurrency: 1, Logger: quiet}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- consumer.Run(ctx) }()
		for _, want := range []struct {
			id               string
			retries, replays int
		}{{"waits", 1, 0}, {"parked", 0, 1}} {
			d := <-got
			h := d.History()
			if d.ID != want.id || h.Attempts != 3 || h.Retries != want.retries || h.Replays != want.replays {
				t.Errorf("handled %q with history %+v, want %q with 3 attempts, %d retries and %d replays", d.ID, h, want.id, want.retries, want.replays)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestARowStaysUntilTheBrokerHasConfirmedItsCopy(t *testing.T) {
	broker, store := memory.NewBroker(nil), memory.NewStore().Failures()
	if _, err := store.Keep(t.Context(), "orders", []parley.Failure{failed("a", parley.FailureWaiting)}); err != nil {
		t.Fatal(err)
	}
	report, err := parley.ReturnFailures(t.Context(), broker, store, parley.FailureQuery{}, parley.ReturnOptions{Queue: "no such queue"})
	if _, unroutable := errors.AsType[*parley.UnroutableError](err); !unroutable || report.Returned != 0 || rowsLeft(t, store) != 1 {
		t.Errorf("returned %+v with %v, %d rows left; want an unroutable error and the row in its place", report, err, rowsLeft(t, store))
	}
}

func TestARunningRowIsNotReturned(t *testing.T) {
	due := failed("a", parley.FailureWaiting)
	due.After = 0
	broker, store := keepAndDeclare(t, due)
	claims, err := store.Claim(t.Context(), "orders", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d rows: %v", len(claims), err)
	}
	report, err := parley.ReturnFailures(t.Context(), broker, store, parley.FailureQuery{}, parley.ReturnOptions{Queue: "orders"})
	if err != nil || report.Returned != 0 || report.Running != 1 {
		t.Errorf("returned %+v (%v), want the running row left alone", report, err)
	}
	if n, _, err := broker.QueueLen(t.Context(), "orders"); err != nil || n != 0 {
		t.Errorf("%d messages are in the queue (%v), want none", n, err)
	}
}

func TestMoreRowsThanOneBatchAreReturnedInOrder(t *testing.T) {
	var list []parley.Failure
	for i := range 250 {
		list = append(list, failed(string(rune('a'+i%26))+time.Duration(i).String(), parley.FailureParked))
	}
	broker, store := keepAndDeclare(t, list...)
	report, err := parley.ReturnFailures(t.Context(), broker, store, parley.FailureQuery{}, parley.ReturnOptions{Queue: "orders"})
	if err != nil || report.Returned != 250 || rowsLeft(t, store) != 0 {
		t.Fatalf("returned %+v (%v), want 250", report, err)
	}
	sub := must(broker.Subscribe(t.Context(), "orders", parley.SubscribeOptions{Prefetch: 300}))
	for i := range list {
		if d := must(sub.Next(t.Context())); d.ID != list[i].Message.ID {
			t.Fatalf("message %d is %q, want %q", i, d.ID, list[i].Message.ID)
		}
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
}
