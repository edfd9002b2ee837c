//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// A caller dies while it has open calls: some are answered meanwhile, some expire, some both. After its
// restart it gets either the reply or the expiry notice of each call.
func TestACallerKilledBeforeItsRepliesGetsOneResultOfEachCall(t *testing.T) {
	needAll(t)
	t.Parallel()
	built(t, "victim", false) // first, because the calls could expire during the build
	callers, prompt, tardy := newLab(t, 1), newLab(t, 1), newLab(t, 1)
	answered := parley.NewCall[question, answer](prompt.exchanges[0], method)
	unanswered := parley.NewCall[question, answer](tardy.exchanges[0], method)
	const n, soon = 20, 8 * time.Second
	to := callers.exchanges[0]
	callers.ask(answered, n, to)
	callers.ask(answered, n, to, parley.WithExpiresIn(soon), parley.WithExpiryNotice())
	callers.ask(unanswered, n, to, parley.WithExpiresIn(soon), parley.WithExpiryNotice())
	expired := time.Now().Add(soon + parley.ExpirySkew)

	s := callers.child("caller")
	s.Settings = []string{"VICTIM_CALLS=" + answered.Exchange() + "," + unanswered.Exchange()}
	first := spawn(t, s)
	eventually(t, "the callees' queues have the calls", func() bool { return prompt.holds(2*n) && tardy.holds(n) })
	first.kill()
	kills := 1
	callee := spawn(t, prompt.child("callee"))
	eventually(t, "the replies wait for the caller", func() bool { return callers.holds(2 * n) })
	callee.stop()
	eventually(t, "the calls have expired", func() bool { return time.Now().After(expired) })
	tardy.refuseExpired(unanswered, n)

	for _, at := range []point{beforeHandler, afterEffect, afterEffectCommit, beforeAck} {
		s.Point, s.Pass = at, 3
		spawn(t, s).diedAt(at)
		kills++
	}
	s.Point = ""
	last := spawn(t, s)
	eventually(t, "each call has ended", func() bool {
		ended, err := callers.tryCount("(SELECT DISTINCT number FROM replies) AS r")
		return err == nil && ended == 3*n
	})
	callers.drained()
	eventually(t, "the replies' queue is empty", func() bool { return callers.holds(0) })
	last.stop()

	e := callers.evidence()
	var number int64
	callers.each(t.Context(), "SELECT number FROM replies", func() { e.effects[number]++ }, &number)
	f := e.inEffect()
	f.check(t, 0)
	const wrong = "replies r JOIN ledger l ON l.number = r.number WHERE "
	if n := callers.count(wrong + "l.exchange = '" + unanswered.Exchange() + "' AND answer <> 'expired'"); n != 0 {
		t.Errorf("%d unanswered calls did not end as expired", n)
	}
	if n := callers.count(wrong + fmt.Sprint("l.number <= ", n) + " AND answer <> (2 * l.number)::text"); n != 0 {
		t.Errorf("%d calls without an expiry have a wrong result", n)
	}
	if n := callers.count(wrong + fmt.Sprint("l.number <= ", 2*n) + " AND answer NOT IN ((2 * l.number)::text, 'expired')"); n != 0 {
		t.Errorf("%d calls have a wrong answer", n)
	}
	t.Logf("%d calls ended as expired", callers.count("replies WHERE answer = 'expired'"))
	if done := prompt.count("effects"); done != 2*n {
		t.Errorf("the callee handled %d calls, want %d", done, 2*n)
	}
	counts.add(t, f.row("kill -9 of the caller before its replies", kills))
}

// holds reports whether n messages wait in the lab's queue.
func (l *lab) holds(n int) bool {
	ready, err := l.ready(l.queue)
	return err == nil && ready == n
}

// refuseExpired runs a callee until it has skipped n expired calls. It must handle none.
func (l *lab) refuseExpired(c *parley.CallType[question, answer], n int64) {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.queue})
	if err != nil {
		l.t.Fatal(err)
	}
	var expired, others atomic.Int64
	r := parley.NewRouter()
	parley.OnCall(r, inbox, l.outbox, c, func(context.Context, pgx.Tx, parley.Call[question]) (answer, error) { return answer{}, nil })
	consumer, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 4, Logger: quiet, Retry: parley.NoRetry,
		Hooks: parley.ConsumerHooks{Done: func(c parley.ConsumerReport) {
			if c.Outcome == parley.OutcomeExpired {
				expired.Add(1)
			} else {
				others.Add(1)
			}
		}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	stop := start(l.t, "the tardy callee", consumer)
	eventually(l.t, "the callee has processed the calls", func() bool { return expired.Load()+others.Load() >= n })
	stop()
	if expired.Load() != n || others.Load() != 0 {
		l.t.Errorf("%d calls were expired and %d were not, want %d expired", expired.Load(), others.Load(), n)
	}
	if left := l.count("parley_outbox"); left != 0 {
		l.t.Errorf("%d expired calls were answered", left)
	}
}
