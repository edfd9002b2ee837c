//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// After a cut in mid-window the outcome of some messages is unknown. They are sent again in their order, so the
// first arrivals stay in order.
func TestABrokerConnectionThatIsCutInMidWindowLosesAndReordersNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	proxy, broker := through(t, l.broker)
	const batch = 200
	relay := l.relay(l.database, broker, func(c *parley.RelayConfig, _ *rabbitmq.Config) { c.BatchSize = batch })
	stopLoad := l.load(500)
	watch := stopwatch{t: t}
	random := chance(t)
	const cuts = 30
	for n := range cuts {
		sent := proxy.Sent(faultproxy.BasicPublish)
		eventually(t, "the relay publishes", func() bool { return proxy.Sent(faultproxy.BasicPublish) > sent })
		switch n % 3 {
		case 0:
			proxy.CutAfter(int64(random.IntN(20_000)))
		case 1:
			proxy.CutInBody()
		default:
			proxy.Cut()
		}
		eventually(t, "the connection is cut", func() bool { return proxy.Count(faultproxy.Cuts) > n })
		was, err := l.moved()
		if err != nil {
			t.Fatal(err)
		}
		watch.until("the relay sends events after a cut", l.moved, time.Now(), was)
	}
	stopLoad()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, cuts*batch)
	if relay.errs.Load() == 0 {
		t.Error("the relay did not detect any cut")
	}
	r := f.row("cut of the broker connection in mid-window", proxy.Count(faultproxy.Cuts))
	r.recovery = watch.longest
	counts.add(t, r)
}

func TestABrokerConnectionThatIsCutAtAnyByteLosesAndReordersNothing(t *testing.T) {
	t.Parallel()
	cutAtBytes(t, 10)
}

func TestABrokerConnectionThatIsCutAtAHundredAndFiftyPlacesLosesAndReordersNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	cutAtBytes(t, 75)
}

// cutAtBytes cuts two connections of the relay in each round: the first after any number of bytes, the next one mostly during
// the AMQP handshake.
func cutAtBytes(t *testing.T, rounds int) {
	t.Helper()
	l := newLab(t, 2)
	proxy, broker := through(t, l.broker)
	const batch = 50
	relay := l.relay(l.database, broker, func(c *parley.RelayConfig, _ *rabbitmq.Config) { c.BatchSize = batch })
	stopLoad := l.load(1000)
	watch := stopwatch{t: t}
	random := chance(t)
	for range rounds {
		for _, within := range []int{10_000, 800} {
			cuts := proxy.Count(faultproxy.Cuts)
			proxy.CutAfter(int64(random.IntN(within)))
			eventually(t, "the connection is cut", func() bool { return proxy.Count(faultproxy.Cuts) > cuts })
		}
		was, err := l.moved()
		if err != nil {
			t.Fatal(err)
		}
		watch.until("the relay sends events after two cuts", l.moved, time.Now(), was)
	}
	stopLoad()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 2*rounds*batch)
	r := f.row(fmt.Sprintf("cut of the broker connection after any number of bytes, %d rounds", rounds), proxy.Count(faultproxy.Cuts))
	r.recovery = watch.longest
	counts.add(t, r)
}

// The relay keeps running, so it knows which messages are confirmed but not yet deleted: it deletes them, and
// publishes no message twice.
func TestADatabaseConnectionThatIsCutInMidTransactionDoublesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	proxy, database := through(t, l.database)
	relay := l.relay(database, l.broker, nil)
	stopLoad := l.load(500)
	watch := stopwatch{t: t}
	random := chance(t)
	const cuts = 30
	for n := range cuts {
		batches := relay.batches.Load()
		eventually(t, "the relay sends a batch", func() bool { return relay.batches.Load() > batches })
		proxy.CutAfter(int64(random.IntN(5000))) // within the next statements of a batch or between them
		eventually(t, "the connection is cut", func() bool { return proxy.Count(faultproxy.Cuts) > n })
		was, err := l.moved()
		if err != nil {
			t.Fatal(err)
		}
		watch.until("the relay sends events after a cut", l.moved, time.Now(), was)
	}
	stopLoad()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	r := f.row("cut of the database connection in mid-transaction", proxy.Count(faultproxy.Cuts))
	r.recovery = watch.longest
	counts.add(t, r)
}

// commitCutter cuts the database connection after the server has received a batch's commit and before it has replied.
type commitCutter struct {
	proxy  *faultproxy.Proxy
	cuts   atomic.Int64
	enough atomic.Bool

	commits atomic.Int64
}

// answerDelay is longer than a commit takes to reach the server, and shorter than its round trip.
const answerDelay = 20 * time.Millisecond

// TraceBatchStart is called before several statements are sent: the relay deletes and commits in one round trip.
func (c *commitCutter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if !settles(data.Batch) {
		return ctx
	}
	// Only every third batch: a relay that never settles a batch backs off longer and longer.
	if c.commits.Add(1)%3 == 0 && !c.enough.Load() {
		c.proxy.Latency(answerDelay)
		time.AfterFunc(3*answerDelay/2, func() {
			if c.proxy.Cut() > 0 {
				c.cuts.Add(1)
			}
			c.proxy.Heal()
		})
	}
	return ctx
}

// settles reports whether the statements delete published records and commit.
func settles(b *pgx.Batch) bool {
	queries := b.QueuedQueries
	deletes := slices.ContainsFunc(queries, func(q *pgx.QueuedQuery) bool { return strings.HasPrefix(q.SQL, "DELETE FROM parley_outbox") })
	return deletes && queries[len(queries)-1].SQL == "COMMIT"
}

// TraceBatchQuery is called for each reply.
func (c *commitCutter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is called when the server has replied, or no reply will come.
func (c *commitCutter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceQueryStart and TraceQueryEnd make this a tracer of single statements too, as a pool requires.
func (c *commitCutter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing.
func (c *commitCutter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The server commits, but its reply is lost: the relay does not know whether the rows are deleted.
func TestALostAnswerToCommitDoublesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	proxy, database := through(t, l.database)
	watch := &commitCutter{proxy: proxy}
	relay := l.relayFrom(poolTo(t, database, watch), l.broker, nil)
	stopLoad := l.load(500)
	const cuts = 20
	eventually(t, "the replies to 20 commits are lost", func() bool { return watch.cuts.Load() >= cuts })
	watch.enough.Store(true)
	stopLoad()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	counts.add(t, f.row("lost answer to the relay's commit", int(watch.cuts.Load())))
}

// The broker has the messages, but its confirm never arrives. After the confirm timeout the relay closes
// the session and sends its unconfirmed messages again.
func TestASwallowedConfirmCostsDuplicatesOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	proxy, broker := through(t, l.broker)
	const batch = 50
	relay := l.relay(l.database, broker, func(c *parley.RelayConfig, m *rabbitmq.Config) {
		c.BatchSize = batch
		m.ConfirmTimeout = time.Second
	})
	watch := stopwatch{t: t}
	const times = 3
	felt := 0
	for felt < times {
		errs, swallowed := relay.errs.Load(), proxy.Count(faultproxy.Swallowed)
		// Swallow all confirms from here on, because a later one would cover the first.
		proxy.SwallowConfirms(1 << 20)
		l.produce(2 * batch)
		eventually(t, "a confirm is swallowed", func() bool { return proxy.Count(faultproxy.Swallowed) > swallowed })
		begin := time.Now()
		was, err := l.moved()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the relay closes the session", func() bool { return relay.errs.Load() > errs })
		felt++
		proxy.Heal()
		watch.until("the relay sends events again", l.moved, begin, was)
	}
	l.drained()
	relay.stop()
	f := l.judged()
	if len(f.doubled) == 0 {
		t.Error("no message arrived twice: the messages of the swallowed confirms were not sent again")
	}
	// While all confirms are swallowed, each session repeats its batch: the relay retries until Heal.
	f.check(t, times*batch*8)
	r := f.row("swallowed confirms", felt)
	r.recovery = watch.longest
	counts.add(t, r)
}
