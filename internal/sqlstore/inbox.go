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
// [parley.InboxStore]. A deadlock or a lock that is not given before fn runs is waited
// out; errors of fn and of the commit are returned as they are.
func (e *Engine[T]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx T) error) error {
	tx, done, err := e.beginOnce(ctx, consumer, identity)
	if err != nil {
		if errors.Is(err, parley.ErrDuplicate) {
			return err
		}
		return e.fail("record in inbox", err)
	}
	defer done()
	defer tx.Rollback() // for an error or a panic; after a commit it does nothing
	if err := failpoint.Hit("inbox.recorded"); err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := failpoint.Hit("inbox.committing"); err != nil {
		return err
	}
	if err := commit(tx); err != nil {
		return e.fail("record in inbox", err)
	}
	return failpoint.Hit("inbox.committed")
}

// beginOnce begins a transaction that has recorded the identity.
func (e *Engine[T]) beginOnce(ctx context.Context, consumer, identity string) (tx T, done func(), err error) {
	err = Retry(ctx, e.dialect.Transient, func() error {
		if tx, done, err = e.begin(ctx); err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		if identity == "" {
			return nil
		}
		q, args := e.dialect.Seen(consumer, identity)
		if _, err = tx.ExecContext(ctx, q, args...); err == nil {
			return nil
		}
		if e.dialect.Duplicate(err) {
			err = parley.ErrDuplicate
		}
		err = errors.Join(err, rollback(tx))
		done()
		return err
	})
	return tx, done, err
}

// SweepInbox deletes up to limit identities recorded more than age ago and returns how
// many; see [parley.InboxStore].
func (e *Engine[T]) SweepInbox(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = Own(ctx, e, func(tx T) error {
		n, err = Exec(ctx, tx, e.dialect.Sweep, age.Microseconds(), limit)
		return err
	})
	return n, e.fail("sweep inbox", err)
}
