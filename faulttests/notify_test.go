//go:build unix

package faulttests_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// notifyPoll is so long that a test can tell a wake-up from a poll.
const notifyPoll = 2 * time.Second

func pollSeldom(c *parley.RelayConfig, _ *rabbitmq.Config) { c.PollInterval = notifyPoll }

// delivered commits an event and returns the time until the relay has deleted it.
func (l *lab) delivered() time.Duration {
	l.t.Helper()
	w := writer{l: l, group: 1}
	if err := w.write(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	return l.drained()
}

// woken waits until notifications wake the relay: three events in turn take less than a poll interval.
func (l *lab) woken() {
	l.t.Helper()
	eventually(l.t, "the relay is woken by notifications", func() bool {
		return l.delivered()+l.delivered()+l.delivered() < notifyPoll
	})
}

// asleep waits until a relay has raised its flag and relies on it. Until the transactions that were open when it raised the flag have
// ended, in any database of the server, it looks often.
func (l *lab) asleep() {
	l.t.Helper()
	eventually(l.t, "the relay sleeps", func() bool {
		var up bool
		err := l.pool.QueryRow(l.t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'
 AND granted AND classid = 1885434476 AND objid = 'parley_outbox'::regclass)`).Scan(&up)
		return err == nil && up
	})
	start := time.Now()
	var xmax string
	if err := l.pool.QueryRow(l.t.Context(), "SELECT pg_snapshot_xmax(pg_current_snapshot())::text").Scan(&xmax); err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, "the older transactions end", func() bool {
		var ended bool
		err := l.pool.QueryRow(l.t.Context(), "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric >= $1::text::numeric", xmax).Scan(&ended)
		return err == nil && ended
	})
	// It looks once more, after a wait that is at most as long as it has waited before, and at most a second.
	time.Sleep(200*time.Millisecond + min(time.Since(start), time.Second))
}

// pollsOn fails the test if an event is later than a poll interval and a second while notifications are lost, or if none is late.
func (l *lab) pollsOn(events int) (latest time.Duration) {
	l.t.Helper()
	// A relay that is not asleep yet looks often, longer while other transactions of the server are open: an event may come early.
	for n := 0; n < events || latest < notifyPoll/4 && n < 20; n++ {
		l.asleep()
		latest = max(latest, l.delivered())
	}
	l.t.Logf("the latest event without notifications took %v", latest)
	if latest > notifyPoll+time.Second {
		l.t.Errorf("an event without notifications took %v, want at most a poll interval of %v and a second", latest, notifyPoll)
	}
	if latest < notifyPoll/4 {
		l.t.Errorf("the latest event took only %v, so notifications were not lost", latest)
	}
	return latest
}

func (l *lab) notifyRow(name string, felt int, relay *relayUnderTest) {
	l.t.Helper()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(l.t, 0)
	counts.add(l.t, f.row(name, felt))
}

func TestAnOutboxThatHasLostItsTriggerIsPolled(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, pollSeldom)
	l.woken()
	if _, err := l.pool.Exec(t.Context(), "DROP TRIGGER parley_outbox_notify ON parley_outbox"); err != nil {
		t.Fatal(err)
	}
	l.pollsOn(2)
	l.notifyRow("notifications lost with their trigger", 1, relay)
}

// A silently cut connection looks like an idle one.
func TestAListenerWhoseConnectionIsSilentlyCutIsReplacedAndMeanwhileTheOutboxIsPolled(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	pool, listener := separatelyProxied(t, l.database)
	relay := l.relayFrom(pool, l.broker, pollSeldom)
	l.woken()
	l.asleep()
	hole := listener.Load()
	hole.Blackhole()
	l.pollsOn(2)
	eventually(t, "the listener is replaced", func() bool { return listener.Load() != hole })
	if relay.errs.Load() == 0 {
		t.Error("the relay did not report that its wake-ups are lost")
	}
	l.woken()
	l.notifyRow("silent cut of the listener's connection", hole.Count(faultproxy.Held), relay)
}

func TestAListenerWhoseBackendFreezesIsReplacedAndMeanwhileTheOutboxIsPolled(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 1)
	relay := l.relay(l.database, l.broker, pollSeldom)
	l.woken()
	l.asleep()
	pid := l.listener()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // the process may have ended
	l.pollsOn(2)
	eventually(t, "the relay closes the listener", func() bool { return relay.errs.Load() > 0 })
	l.woken()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.woken()
	l.notifyRow("frozen backend of the listener", int(relay.errs.Load()), relay)
}

// The notification queue is shared by the whole server: a listener that does not read fills it until no NOTIFY can commit.
func TestARelayThatIsHeldUpByItsBrokerReadsItsNotifications(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 1)
	proxy, broker := through(t, l.broker)
	relay := l.relay(l.database, broker, pollSeldom)
	l.woken()
	pid, channel := l.listener(), ""
	err := l.pool.QueryRow(t.Context(), "SELECT 'parley_' || md5('public.parley_outbox')").Scan(&channel)
	if err != nil {
		t.Fatal(err)
	}
	lazy := poolTo(t, l.database, nil)
	idle, err := lazy.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Release()
	if _, err := idle.Exec(t.Context(), "LISTEN "+channel); err != nil {
		t.Fatal(err)
	}
	proxy.Blackhole()
	l.produce(100) // keeps the relay busy
	eventually(t, "the relay is held up", func() bool { return proxy.Count(faultproxy.Held) > 0 })
	const notifications = 20_000
	_, err = l.pool.Exec(t.Context(), "SELECT count(pg_notify($1, n || repeat('x', 1000))) FROM generate_series(1, $2::int) AS n", channel, notifications)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a listener that does not read is stuck", func() bool { return l.waitsFor(int(idle.Conn().PgConn().PID())) == "ClientWrite" })
	eventually(t, "the relay's listener has read everything", func() bool { return l.waitsFor(pid) == "ClientRead" })
	_ = idle.Conn().Close(canceled()) // at once, without reading the rest
	_, _ = l.pool.Exec(t.Context(), "SELECT pg_terminate_backend($1)", idle.Conn().PgConn().PID())
	eventually(t, "the server's queue of notifications is empty", func() bool {
		var usage float64
		// NOTIFY cleans up the queue.
		err := l.pool.QueryRow(t.Context(), "SELECT pg_notification_queue_usage() FROM (SELECT pg_notify('faults', '')) AS n").Scan(&usage)
		return err == nil && usage < 1e-6
	})
	if got := l.waitsFor(pid); got != "ClientRead" {
		t.Errorf("the relay's listener waits for %q, want ClientRead", got)
	}
	proxy.Heal()
	proxy.Cut()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 200)
	counts.add(t, f.row("20,000 notifications beside a relay that is held up", notifications))
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// listener returns the pid of the backend that listens.
func (l *lab) listener() (pid int) {
	l.t.Helper()
	const query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^(LISTEN|UNLISTEN|SELECT pg_advisory|SELECT pg_snapshot)' ORDER BY backend_start DESC LIMIT 1"
	if err := l.pool.QueryRow(l.t.Context(), query).Scan(&pid); err != nil {
		l.t.Fatal(err)
	}
	return pid
}

func (l *lab) waitsFor(pid int) (event string) {
	l.t.Helper()
	const query = "SELECT coalesce(max(wait_event), '') FROM pg_stat_activity WHERE pid = $1"
	if err := l.pool.QueryRow(l.t.Context(), query, pid).Scan(&event); err != nil {
		l.t.Fatal(err)
	}
	return event
}

// separatelyProxied returns a pool with a proxy for each connection, and the proxy of the listening one.
func separatelyProxied(t *testing.T, database string) (*pgxpool.Pool, *atomic.Pointer[faultproxy.Proxy]) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	listener := &atomic.Pointer[faultproxy.Proxy]{}
	var mu sync.Mutex // guards the proxies
	var proxies []*faultproxy.Proxy
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		p, err := faultproxy.Listen(address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		proxies = append(proxies, p)
		mu.Unlock()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, p.Addr())
		if err != nil {
			return nil, fmt.Errorf("dial the proxy: %w", err)
		}
		return &seenConn{conn, func() { listener.Store(p) }}, nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range proxies {
			p.Close()
		}
	})
	t.Cleanup(pool.Close)
	return pool, listener
}

// A seenConn detects a LISTEN statement.
type seenConn struct {
	net.Conn
	listens func()
}

// Write implements net.Conn.
func (c *seenConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("LISTEN ")) {
		c.listens()
	}
	return c.Conn.Write(p)
}
