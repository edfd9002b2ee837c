//go:build unix

package faulttests_test

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// A commitGate stops a relay after the broker accepted a batch and before the deletion is sent.
type commitGate struct {
	commitCutter
	armed   atomic.Bool
	reached chan struct{}
	open    chan struct{}
}

func newCommitGate() *commitGate {
	return &commitGate{reached: make(chan struct{}, 1), open: make(chan struct{}, 1)}
}

// TraceBatchStart is called before several statements are sent.
func (g *commitGate) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if settles(data.Batch) && g.armed.CompareAndSwap(true, false) {
		g.reached <- struct{}{}
		<-g.open
	}
	return ctx
}

// at calls a function while the relay is stopped.
func (g *commitGate) at(t *testing.T, do func()) {
	t.Helper()
	g.armed.Store(true)
	select {
	case <-g.reached:
	case <-time.After(patience):
		t.Fatal("the relay settles no batch")
	}
	defer func() { g.open <- struct{}{} }()
	do()
}

// The relay keeps the ids of the accepted records: it deletes these before it publishes other records.
func TestADatabaseThatDiesAfterTheConfirmsAndBeforeTheDeletionDoublesNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 2)
	gate := newCommitGate()
	relay := l.relayFrom(poolTo(t, s.url, gate), l.broker, nil)
	stopLoad := l.load(300)
	watch := stopwatch{t: t}
	const deaths = 3
	saved := 0
	for range deaths {
		moved := 0
		gate.at(t, func() {
			var err error
			if moved, err = l.moved(); err != nil {
				t.Fatal(err)
			}
			s.signal(syscall.SIGQUIT) // ends the sessions too, so none of them commits
		})
		if n, err := l.ready(l.queue); err != nil || n <= moved-saved {
			t.Errorf("%d messages are in the queue and %d events were deleted before (%v), so no deletion was prevented", n, moved, err)
		}
		pass(5 * time.Second)
		s.start()
		watch.until("the relay sends events again", l.moved, s.opened, moved)
	}
	stopLoad()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	if relay.errs.Load() < deaths {
		t.Errorf("the relay detected %d errors in %d crashes of its database", relay.errs.Load(), deaths)
	}
	r := f.row("the database dies after the confirms, before the deletion", deaths)
	r.recovery = watch.longest
	counts.add(t, r)
}

// A relay that is cut off from its database holds the lock until the server ends its idle transaction.
func TestARelayThatIsCutOffFromItsDatabaseOnlyIsReplacedByAStandby(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	proxy, database := through(t, l.database)
	gate := newCommitGate()
	first := l.relayFrom(poolTo(t, database, gate), l.broker, nil)
	stopLoad := l.load(200)
	gate.at(t, proxy.Blackhole)
	begin := time.Now()
	was, err := l.moved()
	if err != nil {
		t.Fatal(err)
	}
	second := l.relay(l.database, l.broker, nil)
	watch := stopwatch{t: t}
	watch.until("the standby takes over", l.moved, begin, was)
	if watch.longest > 20*time.Second || watch.longest < 5*time.Second {
		t.Errorf("the standby took over after %v, want about 15 s", watch.longest)
	}
	proxy.Heal()
	errs := first.errs.Load()
	eventually(t, "the first relay gets an error because its transaction was ended", func() bool { return first.errs.Load() > errs })
	stopLoad()
	l.drained()
	first.stop()
	second.stop()
	f := l.judged()
	f.check(t, 200)
	if len(f.doubled) == 0 {
		t.Error("no event arrived twice, so the first relay published no record that it could not delete")
	}
	r := f.row("the active relay is cut off from its database only", 1)
	r.recovery = watch.longest
	counts.add(t, r)
}

// A relay that is cut off from its broker releases its records after the hold limit, and the standby sends them.
func TestARelayThatIsCutOffFromItsBrokerOnlyIsReplacedAndWorksAgainLater(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	proxy, broker := through(t, l.broker)
	short := func(_ *parley.RelayConfig, c *rabbitmq.Config) { c.ConfirmTimeout = 10 * time.Second }
	first := l.relay(l.database, broker, short)
	stopLoad := l.load(200)
	eventually(t, "the first relay sends events", func() bool { return first.accepted.Load() > 100 })
	proxy.Blackhole()
	begin := time.Now()
	was, err := l.moved()
	if err != nil {
		t.Fatal(err)
	}
	second := l.relay(l.database, l.broker, nil)
	watch := stopwatch{t: t}
	// Records that were confirmed before count too. The 200 events, a second of the load, are more than these.
	watch.until("the standby takes over", l.moved, begin, was+200)
	if second.accepted.Load() == 0 || watch.longest > 15*time.Second {
		t.Errorf("the standby sent %d events and took over after %v, want at most 5 s plus a margin", second.accepted.Load(), watch.longest)
	}
	eventually(t, "the first relay waits for its broker", func() bool { return first.state() == parley.RelayWaitsBroker })
	proxy.Heal()
	second.stop()
	accepted := first.accepted.Load()
	eventually(t, "the first relay sends events again", func() bool { return first.accepted.Load() > accepted })
	stopLoad()
	l.drained()
	first.stop()
	f := l.judged()
	f.check(t, 2*200)
	r := f.row("the active relay is cut off from its broker only", 1)
	r.recovery = watch.longest
	counts.add(t, r)
}
