//go:build unix

package faulttests_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// With a backlog each failed message is followed by the next one. The kill switch must trip at once, although many messages
// succeeded before.
func TestABacklogWaitsInItsQueueWhileTheConsumersDatabaseIsDown(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 1)
	t.Cleanup(l.removeWork)
	if err := l.direct().Declare(t.Context(), l.workTopology()); err != nil {
		t.Fatal(err)
	}
	l.publish(5000)
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.work()})
	if err != nil {
		t.Fatal(err)
	}
	var starts, pauses atomic.Int64
	r := parley.NewRouter()
	parley.OnTx(r, inbox, l.events[0], leaveEffect)
	c, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.work(), Concurrency: 8, Logger: quiet,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: workDelays},
		Hooks: parley.ConsumerHooks{
			Start:  func(*parley.Delivery) { starts.Add(1) },
			Paused: func(error) { pauses.Add(1) },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, "consumer", c)
	eventually(t, "the consumer handles the backlog", func() bool { n, err := l.effected(); return err == nil && n > 1500 })
	opened := s.outage(10 * time.Second).do()
	had, err := l.effected()
	if err != nil {
		t.Fatal(err)
	}
	watch := stopwatch{t: t}
	watch.until("the consumer handles events again", l.effected, opened, had)
	l.handled()
	stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	again := int(starts.Load()) - f.events
	t.Logf("%d redeliveries and %d pauses; recovered after %v", again, pauses.Load(), watch.longest)
	if again >= 100 {
		t.Errorf("%d redeliveries, want fewer than 100", again)
	}
	if watch.longest > 10*time.Second {
		t.Errorf("the consumer recovered %v after the database, want at most 10 s", watch.longest)
	}
	if n, err := l.ready(l.work() + ".parked"); err != nil || n != 0 {
		t.Errorf("an outage parked %d messages (%v)", n, err)
	}
	row := f.row("the consumer's database is down, with a backlog", int(pauses.Load()))
	row.recovery = watch.longest
	counts.add(t, row)
}
