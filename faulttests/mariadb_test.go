//go:build unix

package faulttests_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
)

// At REPEATABLE READ a relay's locks would block every insert until the end of its batch.
func TestARelayInMidBatchHoldsUpNoInsertOfMariaDB(t *testing.T) {
	for _, at := range []point{beforePublish, midDelete, afterDelete} {
		t.Run(string(at), func(t *testing.T) {
			l := newMariaDBLab(t, 1)
			l.produce(300)
			s := l.child("relay")
			s.Point, s.Pass, s.Freeze = at, 2, true
			frozen := spawn(t, s)
			eventually(t, "the relay is frozen in mid-batch", frozen.frozen)
			w := writer{l: l, group: 1}
			var longest time.Duration
			const inserts = 100
			for range inserts {
				begin := time.Now()
				if err := w.write(t.Context()); err != nil {
					t.Fatal(err)
				}
				longest = max(longest, time.Since(begin))
			}
			t.Logf("the longest of %d transactions took %v", inserts, longest)
			if longest > time.Second { // 50 ms on an idle machine; a blocked one would wait for 15 s
				t.Errorf("a transaction took %v beside a relay in mid-batch", longest)
			}
			if !frozen.frozen() {
				t.Error("the relay was not in mid-batch during the whole test")
			}
			frozen.signal(syscall.SIGCONT)
			l.drained()
			frozen.stop()
			f := l.judged()
			f.check(t, 0)
			counts.add(t, f.row("inserts beside a relay of MariaDB that is frozen at "+string(at), inserts))
		})
	}
}

func TestAMariaDBThatRestartsUnderLoadCostsNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateMariaDB(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 2)
	relay, consumer := spawn(t, l.child("relay")), spawn(t, l.consumer())
	relay.works()
	consumer.works()
	l.outlive("restart and kill -9 of MariaDB under load", relay.worker(), consumer.worker(), 0, recoveryLimit, []fault{
		s.restart(syscall.SIGTERM), s.restart(syscall.SIGKILL), s.restart(syscall.SIGKILL), s.restart(syscall.SIGTERM),
	})
}

// Errors of MariaDB that roll back a statement (1205, lock wait timeout) or the transaction (1213, deadlock).
const (
	lockTimeout = 1205
	deadlock    = 1213
)

// lockErrors counts these errors.
type lockErrors struct{ timeouts, deadlocks atomic.Int64 }

func (n *lockErrors) note(err error) {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	switch {
	case !ok:
	case e.Number == lockTimeout:
		n.timeouts.Add(1)
	case e.Number == deadlock:
		n.deadlocks.Add(1)
	}
}

// A second session locks the whole outbox, the whole inbox and the row of the relay's lead for longer than the lock wait
// timeout. The handlers of the consumer lock two rows in both orders.
func TestLocksAndDeadlocksOfOtherSessionsCostNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateMariaDB(t, "--innodb-lock-wait-timeout=1")
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 1)
	for _, q := range []string{"CREATE TABLE crossing (id int PRIMARY KEY, n bigint NOT NULL)", "INSERT INTO crossing VALUES (1, 0), (2, 0)"} {
		if _, err := l.db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	var producers, handlers lockErrors
	stopConsumer := l.cross(&handlers)
	relay := spawn(t, l.child("relay"))
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		w := writer{l: l, group: 2}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			// More events would only make the queue longer, because deadlocks slow the handlers down.
			if n, err := l.effected(); err == nil && w.transactions*w.group < n+200 {
				producers.note(w.write(t.Context()))
			}
			<-tick.C
		}
	})
	t.Cleanup(func() { cancel(); writing.Wait() })
	for range 2 {
		for _, table := range []string{"parley_outbox", "parley_inbox", "parley_locks WHERE id = 0", "crossing WHERE id = 1"} {
			was, err := l.effected()
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "events have effects under load", func() bool { n, err := l.effected(); return err == nil && n > was+50 })
			l.lockFor(1500*time.Millisecond, table)
		}
	}
	eventually(t, "handlers had a deadlock", func() bool { return handlers.deadlocks.Load() > 0 })
	cancel()
	writing.Wait()
	l.drained()
	relay.stop()
	l.handled()
	stopConsumer()
	t.Logf("producers: %d lock timeouts, %d deadlocks; handlers: %d and %d; %d warnings and errors of the relay", producers.timeouts.Load(), producers.deadlocks.Load(),
		handlers.timeouts.Load(), handlers.deadlocks.Load(), relay.complaints())
	if producers.timeouts.Load() == 0 || handlers.timeouts.Load() == 0 {
		t.Error("no producer or no handler had a lock timeout")
	}
	e := l.evidence()
	e.arrivals = l.arrivals()
	f := e.inQueue()
	f.check(t, 0)
	e.inEffect().check(t, 0)
	var crossed int
	if err := l.db.QueryRowContext(t.Context(), "SELECT n FROM crossing WHERE id = 2").Scan(&crossed); err != nil || crossed != f.events {
		t.Errorf("%d events made %d changes (%v)", f.events, crossed, err)
	}
	felt := producers.timeouts.Load() + producers.deadlocks.Load() + handlers.timeouts.Load() + handlers.deadlocks.Load()
	counts.add(t, f.row("lock timeouts and deadlocks of MariaDB", int(felt)))
}

// lockFor locks the rows, and at REPEATABLE READ the gaps between them too.
func (l *lab) lockFor(d time.Duration, table string) {
	l.t.Helper()
	tx, err := l.db.BeginTx(l.t.Context(), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer tx.Rollback()
	var n int
	err = tx.QueryRowContext(l.t.Context(), "SELECT count(*) FROM (SELECT 1 FROM "+table+" FOR UPDATE) AS locked").Scan(&n)
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok && (e.Number == lockTimeout || e.Number == deadlock) {
		return // another session holds the lock; retried in the next round
	}
	if err != nil {
		l.t.Fatal(err)
	}
	pass(d)
}

// cross consumes l.work(). Its handlers lock the rows of crossing, for events of odd numbers in reverse order.
func (l *lab) cross(failures *lockErrors) (stop func()) {
	l.t.Helper()
	r := parley.NewRouter()
	parley.OnTx(r, l.service.Inbox, l.events[0], func(ctx context.Context, tx *service.Tx, e parley.Event[fact]) error {
		rows := []int{1, 2}
		if e.Payload.Number%2 == 1 {
			rows = []int{2, 1}
		}
		_, err := tx.SQL.ExecContext(ctx, fmt.Sprintf("INSERT INTO effects (number, process) VALUES (%d, 0)", e.Payload.Number))
		for _, id := range rows {
			if err == nil {
				_, err = tx.SQL.ExecContext(ctx, fmt.Sprintf("UPDATE crossing SET n = n + 1 WHERE id = %d", id))
			}
		}
		failures.note(err)
		return err
	})
	c, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.work(), Concurrency: 8, Topology: l.workTopology(), Logger: quiet,
		Retry:      parley.RetryPolicy{Immediate: []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second}, Delays: workDelays},
		KillSwitch: parley.KillSwitchConfig{Share: 2}, // only single messages fail here
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(l.removeWork)
	return start(l.t, "consumer", c)
}
