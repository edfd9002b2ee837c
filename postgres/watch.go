package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Watch implements parley.RelayWaker: LISTEN on a connection of its own, which is taken out
// of the pool and proves to be alive every few seconds.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	if s.cfg.PollOnly {
		<-ctx.Done()
		return nil
	}
	return listen(ctx, s.pool, wake, func(c *pgx.Conn) (channel string, err error) {
		err = c.QueryRow(ctx, `SELECT 'parley_' || md5(n.nspname || '.' || r.relname) FROM pg_class r
 JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = to_regclass($1)`, s.names.outbox).Scan(&channel)
		if err != nil {
			err = fmt.Errorf("find the table %s: %w", s.names.outbox, err)
		}
		return channel, err
	})
}

// listen calls wake for each notification on the channel that find names.
func listen(ctx context.Context, pool *pgxpool.Pool, wake func(), find func(c *pgx.Conn) (string, error)) error {
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return quiet(ctx, err)
	}
	c := pooled.Hijack()
	defer c.Close(context.WithoutCancel(ctx))
	channel, err := find(c)
	if err != nil {
		return quiet(ctx, err)
	}
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return quiet(ctx, err)
	}
	for {
		wake() // once after LISTEN, and after each notification: it is a hint, the table is the truth
		if err := waitNotification(ctx, c); err != nil {
			return quiet(ctx, err)
		}
	}
}

// waitNotification returns nil after a notification. When it is silent for 5 seconds it asks
// the server for a sign of life: a dead connection looks just like silence.
func waitNotification(ctx context.Context, c *pgx.Conn) error {
	for {
		silent, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := c.WaitForNotification(silent)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		ping, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = c.Ping(ping)
		cancel()
		if err != nil {
			return fmt.Errorf("listener does not answer: %w", err)
		}
	}
}

func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
