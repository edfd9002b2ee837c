//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// question and answer are the payloads of the call. The service is the exchange of the callee's lab;
// replies go to the exchange of the caller's lab.
type (
	question struct {
		Number int64 `json:"number"`
	}
	answer struct {
		Text string `json:"text"`
	}
)

const method = "double"

func TestACalleeKilledAtEveryPointChangesItsStateOnceAndRepliesOnce(t *testing.T) {
	killCallees(t, 2, "kill -9 of the callee at %d points of a call")
}

func TestACalleeKilledTwentyTimesAtEveryPointChangesItsStateOnceAndRepliesOnce(t *testing.T) {
	needAll(t)
	killCallees(t, 20, "kill -9 of the callee, 20 times at %d points of a call")
}

func killCallees(t *testing.T, rounds int, name string) {
	t.Helper()
	l := newLab(t, 1)
	callers := newLab(t, 1) // another service with a separate database
	asked := parley.NewCall[question, answer](l.exchanges[0], method)
	relay := callers.relay(callers.database, callers.broker, nil)
	stopReplies := callers.hear(asked)
	s := l.child("callee")
	places := []point{beforeHandler, afterEffect, afterEffectCommit, beforeAck, beforePublish, midPublish, afterPublish, afterDelete}
	kills := 0
	for round := range rounds {
		for _, at := range places {
			callers.ask(asked, 20, callers.exchanges[0])
			s.Point, s.Pass = at, 1+round%2
			if at == midPublish {
				s.Pass = 1
			}
			spawn(t, s).diedAt(at)
			kills++
		}
	}
	s.Point = ""
	last := spawn(t, s)
	calls := callers.count("ledger")
	eventually(t, "each call has its reply", func() bool {
		n, err := callers.tryCount("(SELECT DISTINCT number FROM replies) AS r")
		return err == nil && n == calls
	})
	callers.drained()
	l.drained()
	last.stop()
	relay.stop()
	eventually(t, "the replies' queue is empty", func() bool { n, err := callers.ready(callers.queue); return err == nil && n == 0 })
	stopReplies()
	e := callers.evidence()
	e.effects = l.evidence().effects // the callee's
	f := e.inEffect()
	f.check(t, 0)
	if n := callers.count("replies"); n != calls {
		t.Errorf("%d replies were visible for %d calls, want one each", n, calls)
	}
	if wrong := callers.count("replies WHERE answer <> (2 * number)::text"); wrong != 0 {
		t.Errorf("%d replies are wrong", wrong)
	}
	counts.add(t, f.row(fmt.Sprintf(name, len(places)), kills))
}

// ask records calls in the caller's outbox and in its ledger.
func (l *lab) ask(c *parley.CallType[question, answer], n int, replyTo string, options ...parley.AskOption) {
	l.t.Helper()
	options = append(options, parley.WithReplyTo(replyTo))
	for range n {
		err := pgx.BeginFunc(l.t.Context(), l.pool, func(tx pgx.Tx) error {
			number := l.number.Add(1)
			id, err := parley.Ask(l.t.Context(), l.outbox.In(tx), c, question{number}, options...)
			if err == nil {
				_, err = tx.Exec(l.t.Context(), "INSERT INTO ledger (number, exchange, event_id, fate) VALUES ($1, $2, $3, $4)", number, c.Exchange(), id, committed)
			}
			return err
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

// hear records each reply that reaches the caller.
func (l *lab) hear(c *parley.CallType[question, answer]) (stop func()) {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.queue})
	if err != nil {
		l.t.Fatal(err)
	}
	r := parley.NewRouter()
	parley.OnReplyTx(r, inbox, c, func(ctx context.Context, tx pgx.Tx, reply parley.Reply[answer]) error {
		_, err := tx.Exec(ctx, "INSERT INTO replies (number, answer) SELECT number, $2 FROM ledger WHERE event_id = $1", reply.ID, reply.Data.Text)
		return err
	})
	consumer, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 4, Logger: quiet,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return start(l.t, "the caller's consumer", consumer)
}
