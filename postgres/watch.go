package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
)

var _ parley.RelaySleeper = (*Store)(nil)

// Watch implements parley.RelayWaker: LISTEN on a connection of its own, which is taken out
// of the pool and checked every few seconds. All publishers notify meanwhile, which WatchAsleep avoids.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	return s.watch(ctx, func(ctx context.Context, flag *sleepFlag) error { return flag.keepRaised(ctx, wake) })
}

// WatchAsleep implements parley.RelaySleeper. Publishers notify only while the flag of a relay is raised.
func (s *Store) WatchAsleep(ctx context.Context, wake func(), ready func(parley.SleepFlag)) error {
	return s.watch(ctx, func(ctx context.Context, flag *sleepFlag) error {
		ready(flag)
		wake()
		return flag.l.run(ctx, func(ctx context.Context) error {
			wake() // before the flag is lowered: a relay that is about to sleep must look again
			limited, cancel := context.WithTimeout(ctx, statementTimeout)
			defer cancel()
			return flag.lower(limited, flag.l.conn)
		})
	})
}

// watch listens for the outbox, and calls work with a flag on the listening connection.
func (s *Store) watch(ctx context.Context, work func(ctx context.Context, flag *sleepFlag) error) error {
	if s.cfg.PollOnly {
		<-ctx.Done()
		return nil
	}
	var key int64
	find := func(c *pgx.Conn) (channel string, err error) {
		err = c.QueryRow(ctx, `SELECT 'parley_' || md5(n.nspname || '.' || r.relname), ($2::bigint << 32) | r.oid::bigint FROM pg_class r
 JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = to_regclass($1)`, s.names.outbox, int64(flagSpace)).Scan(&channel, &key)
		if err != nil {
			err = fmt.Errorf("find the table %s: %w", s.names.outbox, err)
		}
		return channel, err
	}
	return listen(ctx, s.relay, find, func(l *listener) error {
		if err := s.prepareFlag(ctx, l.conn); err != nil {
			return err
		}
		return work(ctx, &sleepFlag{l: l, table: s.names.outbox, key: key})
	})
}

// prepareFlag prepares the session for the flag, and checks that its own notifications arrive. Behind a transaction pooler they
// do not, and the flag would stay raised on a connection of the server.
func (s *Store) prepareFlag(ctx context.Context, c *pgx.Conn) error {
	// A frozen relay loses its flag: the server ends a session that is silent for three pings.
	_, err := c.Exec(ctx, `SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN '100ms' WHEN 'idle_session_timeout' THEN '15s' ELSE 'read committed' END, false)
 FROM pg_settings WHERE name IN ('lock_timeout', 'idle_session_timeout', 'default_transaction_isolation')`)
	if err != nil {
		return fmt.Errorf("prepare the listening session: %w", err)
	}
	channel := fmt.Sprintf("parley_probe_%d_%d", c.PgConn().PID(), time.Now().UnixNano())
	if _, err := c.Exec(ctx, "LISTEN "+channel+" /* parley */"); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// From another connection, as a publisher does: the answer of this one could carry the notification through a pooler.
	if _, err := s.relay.Exec(limited, "SELECT pg_notify($1, '')", channel); err != nil {
		return fmt.Errorf("check notifications: %w", err)
	}
	for {
		n, err := c.WaitForNotification(limited)
		if err != nil {
			return fmt.Errorf("notifications do not arrive (behind a transaction pooler, set database.poll_only): %w", err)
		}
		if n.Channel == channel {
			_, err = c.Exec(ctx, "UNLISTEN "+channel)
			return err
		}
	}
}

// listen listens on the channel that find names, and calls work with the connection.
func listen(ctx context.Context, pool *pgxpool.Pool, find func(c *pgx.Conn) (string, error), work func(*listener) error) error {
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
	// The comment distinguishes parley's sessions from those of the Python library's relay, which LISTEN on the same channel.
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()+" /* parley */"); err != nil {
		return quiet(ctx, err)
	}
	return quiet(ctx, work(newListener(c)))
}

// errDemoted: the session of a listener may survive the failover behind a proxy. The server then answers, but never notifies.
var errDemoted = errors.New("the database is a read-only standby, which sends no notifications")

// ask asks the server whether it still accepts writes. A dead connection looks like silence.
func ask(ctx context.Context, c *pgx.Conn) error {
	var standby bool
	if err := c.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("listener does not answer: %w", err)
	}
	if standby {
		return errDemoted
	}
	return nil
}

func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// dropTrigger removes the trigger that notifies relays.
const dropTrigger = "DROP TRIGGER IF EXISTS parley_outbox_notify ON parley_outbox"

// ensureTrigger creates the trigger of the outbox if it is missing; with PollOnly it removes it. A disabled trigger stays.
func (m *migrator) ensureTrigger(ctx context.Context) (err error) {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	exists := false
	const found = `SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = 'parley_outbox'::regclass AND tgname = 'parley_outbox_notify')`
	if err = tx.QueryRowContext(ctx, found).Scan(&exists); err != nil {
		return err
	}
	if exists == m.pollOnly {
		if _, err = tx.ExecContext(ctx, "LOCK TABLE parley_outbox IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		change := dropTrigger
		if !m.pollOnly {
			change += "; CREATE TRIGGER parley_outbox_notify AFTER INSERT ON parley_outbox FOR EACH STATEMENT EXECUTE FUNCTION parley_outbox_notify()"
		}
		if _, err = tx.ExecContext(ctx, change); err != nil {
			return err
		}
	}
	return tx.Commit()
}
