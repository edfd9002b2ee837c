package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// flagSpace keeps the locks of sleeping relays apart from other advisory locks. Migration 00003 has the same number.
const flagSpace = 1885434476

// otherFlag is how long a flag is taken for raised by another relay before this one tries again: a try waits for 100 ms.
const otherFlag = 500 * time.Millisecond

// A sleepFlag is an exclusive advisory lock of the listening session, so that the flag and the listener are lost together.
// The goroutine of the listener runs all of its statements; the relay's goroutine waits for them.
type sleepFlag struct {
	l     *listener
	table string // of the outbox, as written in statements
	key   int64

	// The fields below belong to the listener's goroutine.
	raised     bool
	series     uint64
	xmax       string // of the snapshot taken after the flag was raised
	settled    bool
	otherUntil time.Time
}

var _ parley.SleepFlag = (*sleepFlag)(nil)

// Raise implements parley.SleepFlag. The lock, and each look at a snapshot, is a statement and a transaction of its own. A
// snapshot that is taken with the lock, or before it, may miss a publisher that has not seen the lock.
func (f *sleepFlag) Raise(ctx context.Context) (parley.SleepState, error) {
	return doFor(ctx, f.l, func(ctx context.Context, c *pgx.Conn) (parley.SleepState, error) {
		if !f.raised && time.Now().After(f.otherUntil) {
			if err := f.raise(ctx, c); err != nil {
				return parley.SleepState{}, err
			}
		}
		return parley.SleepState{Mine: f.raised, Series: f.series}, nil
	})
}

func (f *sleepFlag) raise(ctx context.Context, c *pgx.Conn) error {
	if err := failpoint.Hit("sleep.raising"); err != nil {
		return err
	}
	_, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", f.key)
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == "55P03" { // lock_not_available
		f.otherUntil = time.Now().Add(otherFlag)
	} else if err != nil {
		return fmt.Errorf("raise the flag of a sleeping relay: %w", err)
	} else {
		f.raised = true
	}
	f.series++
	f.settled = false
	if err := failpoint.Hit("sleep.raised"); err != nil {
		return err
	}
	if err := c.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text").Scan(&f.xmax); err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	return failpoint.Hit("sleep.snapshot")
}

// Settled implements parley.SleepFlag.
func (f *sleepFlag) Settled(ctx context.Context) (bool, error) {
	return doFor(ctx, f.l, func(ctx context.Context, c *pgx.Conn) (bool, error) {
		if !f.settled {
			q := "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric >= $1::text::numeric"
			if err := c.QueryRow(ctx, q, f.xmax).Scan(&f.settled); err != nil {
				return false, fmt.Errorf("look for older transactions: %w", err)
			}
		}
		return f.settled, failpoint.Hit("sleep.tested")
	})
}

// Lower implements parley.SleepFlag.
func (f *sleepFlag) Lower(ctx context.Context) error { return f.l.do(ctx, f.lower) }

// lower unlocks. It runs on the listener's goroutine, also after each notification.
func (f *sleepFlag) lower(ctx context.Context, c *pgx.Conn) error {
	f.otherUntil = time.Time{}
	if !f.raised {
		return nil
	}
	f.raised = false
	if err := failpoint.Hit("sleep.lowering"); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, "SELECT pg_advisory_unlock($1)", f.key); err != nil {
		return fmt.Errorf("lower the flag of a sleeping relay: %w", err)
	}
	return nil
}

// keepRaised raises the flag and keeps it until ctx ends, for a caller that does not say when it sleeps. While the flag belongs to
// another session, which may lower it, keepRaised tries again and wakes the caller each time. No other goroutine uses the connection.
func (f *sleepFlag) keepRaised(ctx context.Context, wake func()) error {
	for !f.raised {
		limited, cancel := context.WithTimeout(ctx, statementTimeout)
		err := f.raise(limited, f.l.conn)
		cancel()
		if err != nil {
			return err
		}
		wake()
		if f.raised {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(otherFlag):
		}
	}
	return f.l.run(ctx, func(context.Context) error { wake(); return nil })
}

// Due implements parley.SleepFlag.
func (f *sleepFlag) Due(ctx context.Context, except []string) (bool, error) {
	names, err := json.Marshal(append([]string{}, except...))
	if err != nil {
		return false, err
	}
	q := "SELECT EXISTS (SELECT 1 FROM " + f.table + " WHERE due_at IS NULL AND exchange NOT IN (SELECT jsonb_array_elements_text($1::jsonb)))" +
		" OR EXISTS (SELECT 1 FROM " + f.table + " WHERE due_at <= statement_timestamp() AND exchange NOT IN (SELECT jsonb_array_elements_text($1::jsonb)))"
	return doFor(ctx, f.l, func(ctx context.Context, c *pgx.Conn) (due bool, err error) {
		err = c.QueryRow(ctx, q, string(names)).Scan(&due)
		return due, err
	})
}
