//go:build unix

package faulttests_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// recoveryLimit is the longest recovery after a server's port is open again.
const recoveryLimit = 15 * time.Second

// workDelays are longer in total than any outage here, so that messages that fail before the kill switch trips are not parked.
var workDelays = []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}

// work is the queue of a consumer. The lab's own queue keeps all arrivals.
func (l *lab) work() string { return l.queue + ".work" }

// consume runs a consumer in this process that declares the work queue and writes the effect of each event.
func (l *lab) consume() (stop func()) { l.t.Helper(); return l.consumeThrough(l.broker) }

// consumeThrough is consume with another broker address.
func (l *lab) consumeThrough(broker string) (stop func()) {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.work()})
	if err != nil {
		l.t.Fatal(err)
	}
	r := parley.NewRouter()
	for _, event := range l.events {
		parley.OnTx(r, inbox, event, func(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
			_, err := tx.Exec(ctx, "INSERT INTO effects (number, process) VALUES ($1, 0)", e.Payload.Number)
			return err
		})
	}
	subscribed := make(chan struct{}, 1)
	c, err := parley.NewConsumer(l.directWith(func(c *rabbitmq.Config) { c.URL = broker }), r, &parley.ConsumerConfig{
		Queue: l.work(), Concurrency: 8, Topology: l.workTopology(), Logger: quiet,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{100 * time.Millisecond}, Delays: workDelays},
		Hooks: parley.ConsumerHooks{Subscribed: func(bool, error) {
			select {
			case subscribed <- struct{}{}:
			default: // only the first subscription is awaited
			}
		}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(l.removeWork)
	stop = start(l.t, "consumer", c)
	select {
	case <-subscribed:
	case <-time.After(patience):
		l.t.Fatal("the consumer did not subscribe")
	}
	return stop
}

func (l *lab) workTopology() parley.Topology {
	t := parley.Topology{Queues: []parley.Queue{{Name: l.work()}}}
	for _, name := range l.exchanges {
		t.Exchanges = append(t.Exchanges, parley.Exchange{Name: name})
		t.Bindings = append(t.Bindings, parley.Binding{Queue: l.work(), Exchange: name})
	}
	return t
}

func (l *lab) removeWork() {
	b := l.direct()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, suffix := range []string{"", ".parked"} {
		_ = b.DeleteQueue(ctx, l.work()+suffix) // a private server may have stopped
	}
	for _, d := range workDelays {
		_ = b.DeleteQueue(ctx, fmt.Sprintf("%s.retry.%v", l.work(), d))
	}
}

// A worker is a relay or a consumer, in this process or a child. felt counts the faults that it detected.
type worker struct {
	felt func() int64
	stop func()
}

func (p *process) worker() worker {
	return worker{func() int64 { return int64(p.complaints()) }, p.stop}
}

// consumer is consume in a child process.
func (l *lab) consumer() childSpec {
	l.t.Cleanup(l.removeWork)
	s := l.child("consumer")
	s.Queue = l.work()
	s.Settings = []string{"PARLEY_BINDS=" + strings.Join(l.exchanges, ","), "PARLEY_CONSUMER_IMMEDIATE_RETRIES=100ms", "PARLEY_CONSUMER_RETRY_DELAYS=2s,5s,10s,20s,40s"}
	return s
}

// A fault affects a server under load.
type fault struct {
	// do causes the fault. It returns when the server works again, with the time when its port was open.
	do func() (opened time.Time)
	// silent faults stop all progress without an error.
	silent bool
}

// withFaults runs a relay, a consumer and a load during faults, and checks arrivals and effects.
func (l *lab) withFaults(name string, doubled int, limit time.Duration, faults ...fault) {
	l.t.Helper()
	relay := l.relay(l.database, l.broker, nil)
	l.outlive(name, worker{relay.felt, relay.stop}, worker{stop: l.consume()}, doubled, limit, faults)
}

// outlive runs a relay and a consumer under load during faults.
func (l *lab) outlive(name string, relay, consumer worker, doubled int, limit time.Duration, faults []fault) {
	l.t.Helper()
	stopLoad := l.load(300)
	moved, handled := stopwatch{t: l.t}, stopwatch{t: l.t}
	for _, f := range faults {
		before, err := l.effected()
		if err != nil {
			l.t.Fatal(err)
		}
		eventually(l.t, "events have effects under load", func() bool { n, err := l.effected(); return err == nil && n > before+300 })
		felt := relay.felt()
		opened := f.do()
		if !f.silent {
			eventually(l.t, "the relay detects the fault", func() bool { return relay.felt() > felt })
		}
		was, err := l.moved()
		if err != nil {
			l.t.Fatal(err)
		}
		had, err := l.effected()
		if err != nil {
			l.t.Fatal(err)
		}
		moved.until("the relay sends events again", l.moved, opened, was)
		handled.until("the consumer handles events again", l.effected, opened, had)
	}
	stopLoad()
	l.drained()
	relay.stop()
	l.t.Cleanup(func() {
		if l.t.Failed() {
			n, err := l.ready(l.work() + ".parked")
			l.t.Logf("%d messages are parked (%v)", n, err)
		}
	})
	l.handled()
	consumer.stop()
	l.t.Logf("the relay recovered after %v, the consumer after %v", moved.longest, handled.longest)
	if testenv.Late(l.t, max(moved.longest, handled.longest), limit) {
		l.t.Errorf("the relay recovered after %v and the consumer after %v, want at most %v", moved.longest, handled.longest, limit)
	}
	if n, err := l.ready(l.work() + ".parked"); err != nil || n != 0 {
		l.t.Errorf("an outage parked %d messages (%v)", n, err)
	}
	e := l.evidence()
	e.arrivals = l.arrivals()
	f := e.inQueue()
	f.check(l.t, doubled)
	e.inEffect().check(l.t, 0)
	r := f.row(name, len(faults))
	r.recovery = max(moved.longest, handled.longest)
	counts.add(l.t, r)
}

// restart ends the server with a signal and starts it again.
func (s *server) restart(sig syscall.Signal) fault {
	return fault{do: func() time.Time { s.signal(sig); s.start(); return s.opened }}
}

func TestABrokerThatRestartsUnderLoadCostsNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	l := newLabOn(t, testenv.Postgres(t), s.url, 2)
	l.withFaults("restart and kill -9 of the broker under load", 5*200, recoveryLimit,
		s.restart(syscall.SIGTERM), s.restart(syscall.SIGKILL), s.restart(syscall.SIGKILL), s.restart(syscall.SIGTERM), s.restart(syscall.SIGKILL))
}

func TestADatabaseThatRestartsUnderLoadCostsNothing(t *testing.T) {
	needAll(t)
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 2)
	// A fast shutdown, an immediate one, and a kill. The relay keeps the ids of accepted records, so it repeats none.
	l.withFaults("restart and kill -9 of the database under load", 0, recoveryLimit,
		s.restart(syscall.SIGINT), s.restart(syscall.SIGKILL), s.restart(syscall.SIGQUIT), s.restart(syscall.SIGKILL), s.restart(syscall.SIGINT), s.restart(syscall.SIGKILL))
}

// A broker over its memory limit accepts no publications. The relay must wait without a transaction, because its locks
// and its snapshot would slow down the whole database.
func TestABrokerUnderItsMemoryAlarmIsWaitedForWithoutATransaction(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	l := newLabOn(t, testenv.Postgres(t), s.url, 2)
	blocked := make(chan string, 16)
	relay := l.relay(l.database, l.broker, func(_ *parley.RelayConfig, c *rabbitmq.Config) {
		c.Hooks.Blocked = func(reason string) { blocked <- reason }
	})
	stopLoad := l.load(300)
	eventually(t, "events have effects under load", func() bool { n, err := l.moved(); return err == nil && n > 500 })
	s.control("set_vm_memory_high_watermark", "absolute", "1000000")
	select {
	case reason := <-blocked:
		t.Logf("the broker blocks publications: %s", reason)
	case <-time.After(patience):
		t.Fatal("the broker does not block publications")
	}
	// Longer than a confirm timeout: the relay closes a session and must wait on the next one too.
	longest, statement := l.longestTransaction(40 * time.Second)
	if longest > 6*time.Second {
		t.Errorf("a transaction stayed open for %v while the broker blocked, want at most 6 s; its last statement: %s", longest, statement)
	}
	t.Logf("the oldest transaction was open for %v; %d errors", longest, relay.errs.Load())
	// A new session is known to be blocked only after the attempt to publish a batch.
	eventually(t, "the relay reports that it waits for the broker", func() bool { return relay.state() == parley.RelayWaitsBroker })
	was, err := l.moved()
	if err != nil {
		t.Fatal(err)
	}
	s.control("set_vm_memory_high_watermark", "0.4")
	watch := stopwatch{t: t}
	watch.until("the relay sends events again", l.moved, time.Now(), was)
	stopLoad()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 200)
	r := f.row("memory alarm of the broker", 1)
	r.recovery = watch.longest
	counts.add(t, r)
}

// longestTransaction polls the database for a while, and returns the age and the last statement of the oldest
// transaction.
func (l *lab) longestTransaction(watch time.Duration) (longest time.Duration, statement string) {
	l.t.Helper()
	const q = `SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8, state || ': ' || query FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start IS NOT NULL AND state <> 'idle'
ORDER BY 1 DESC LIMIT 1`
	begin := time.Now()
	eventually(l.t, fmt.Sprint(watch, " have passed"), func() bool {
		var seconds float64
		var text string
		err := l.pool.QueryRow(l.t.Context(), q).Scan(&seconds, &text)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			l.t.Fatal(err)
		}
		if age := time.Duration(seconds * float64(time.Second)); age > longest {
			longest, statement = age, text
		}
		return time.Since(begin) > watch
	})
	return longest, statement
}
