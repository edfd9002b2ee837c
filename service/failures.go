package service

import (
	"context"

	"github.com/parley-go/parley"
)

// A FailureStore is the table of failed deliveries in the service's database.
type FailureStore interface {
	parley.FailureStore
	parley.FailureOperator
	parley.FailureGrouper
	parley.FailureTx[*Tx]
	Warnings(ctx context.Context) ([]string, error)
}

// nativeFailures is what the failure stores of all drivers have in common.
type nativeFailures[T any] interface {
	parley.FailureStore
	parley.FailureOperator
	parley.FailureGrouper
	parley.FailureTx[T]
}

// A failureAdapter makes a failure store for transactions of type T one for *Tx.
type failureAdapter[T any] struct {
	parley.FailureStore
	parley.FailureOperator
	parley.FailureGrouper
	native nativeFailures[T]
	owner  *adapter[T]
}

// SharesTx implements parley.FailureTx.
func (a *failureAdapter[T]) SharesTx(inbox parley.InboxStore[*Tx]) bool {
	own, ok := inbox.(*adapter[T])
	return ok && own == a.owner && a.native.SharesTx(own.inbox())
}

// DoneIn implements parley.FailureTx.
func (a *failureAdapter[T]) DoneIn(ctx context.Context, tx *Tx, c parley.FailureClaim) error {
	return a.native.DoneIn(ctx, a.owner.unwrap(tx), c)
}

// Promote implements parley.FailureTx.
func (a *failureAdapter[T]) Promote(ctx context.Context, consumer, key string) error {
	return a.native.Promote(ctx, consumer, key)
}

// Warnings returns the server settings known to the driver that can lose or reject failed deliveries.
func (a *failureAdapter[T]) Warnings(ctx context.Context) ([]string, error) {
	w, ok := a.native.(interface {
		Warnings(ctx context.Context) ([]string, error)
	})
	if !ok {
		return nil, nil
	}
	return w.Warnings(ctx)
}

// inbox returns the driver's inbox. With the outbox of a Django service it is a separate store.
func (a *adapter[T]) inbox() parley.InboxStore[T] {
	if over, ok := a.store.(overDjango[T]); ok {
		return over.InboxStore
	}
	return a.store
}

// Failures implements Database.
func (a *adapter[T]) Failures() FailureStore { return a.failed }
