package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// Once runs fn within a transaction unless consumer has seen the identity before; see
// [parley.InboxStore]. Once retries after a deadlock or a lock timeout before fn runs.
// It returns errors of fn and of the commit unchanged.
func (e *Engine[T]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx T) error) (err error) {
	tx, done, err := e.beginOnce(ctx, consumer, identity)
	if err != nil {
		if errors.Is(err, parley.ErrDuplicate) {
			return err
		}
		return e.fail("record in inbox", err)
	}
	defer func() { done(err) }()
	defer tx.Rollback() // for an error or a panic; it does nothing after a commit
	if err := failpoint.Hit("inbox.recorded"); err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := failpoint.Hit("inbox.committing"); err != nil {
		return err
	}
	if e.dialect.Unbroken != nil {
		err = e.dialect.Unbroken(ctx, tx, consumer, identity)
	}
	if err == nil {
		err = commit(tx)
	}
	if err != nil {
		return e.fail("record in inbox", err)
	}
	return failpoint.Hit("inbox.committed")
}

// beginOnce begins a transaction and records the identity in it.
func (e *Engine[T]) beginOnce(ctx context.Context, consumer, identity string) (tx T, done func(error), err error) {
	err = Retry(ctx, e.dialect.Transient, func() error {
		if tx, done, err = e.begin(ctx); err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		if identity != "" {
			q, args := e.dialect.Seen(consumer, identity)
			_, err = tx.ExecContext(ctx, q, args...)
		} else if e.dialect.Mark != nil {
			err = e.dialect.Mark(ctx, tx)
		}
		if err == nil {
			return nil
		}
		if e.dialect.Duplicate(err) {
			err = parley.ErrDuplicate
		}
		err = errors.Join(err, rollback(tx))
		done(err)
		return err
	})
	return tx, done, err
}

// sweepSteps limits the transactions of one sweep when failed deliveries have nearly all identities.
const sweepSteps = 100

// SweepInbox deletes up to limit identities that consumer recorded more than age ago, except those of failed deliveries, and
// returns how many; see [parley.InboxStore].
func (e *Engine[T]) SweepInbox(ctx context.Context, consumer string, age time.Duration, limit int) (n int, err error) {
	for step := 0; step < sweepSteps && n < limit && err == nil; step++ {
		var seen, deleted int
		err = Own(ctx, e, func(tx T) (err error) {
			seen, deleted, err = e.dialect.Sweep(ctx, tx, consumer, age, limit, limit-n)
			return err
		})
		if err == nil {
			n += deleted
		}
		if seen < limit {
			break
		}
	}
	return n, e.fail("sweep inbox", err)
}
