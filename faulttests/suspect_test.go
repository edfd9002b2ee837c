//go:build unix

package faulttests_test

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// A message whose handler ends the process is parked at the limit. The messages that were unacked at the same time are not.
func TestAMessageThatEndsItsProcessIsParkedAndNoneOfItsNeighboursOnAQuorumQueue(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	t.Cleanup(l.removeWork)
	s := l.keeper("VICTIM_POISON_LIMIT=5", "VICTIM_DELIVERY_LIMIT=50")
	s.Queue, s.Fail = l.work(), 0
	l.declareQuorum(50)
	l.note(0, 100, "")
	l.note(0, 1, "die")
	poison := l.number.Load()
	l.note(0, 100, "")
	l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
	deaths := 0
	for l.failed(parley.FailureParked) == 0 {
		if deaths > 40 {
			t.Fatalf("no message is parked after %d process ends", deaths)
		}
		p := spawn(t, s)
		eventually(t, "the process ends or parks the message", func() bool { return p.dead() || l.failed(parley.FailureParked) > 0 })
		if !p.dead() {
			p.stop()
			break
		}
		if code := p.cmd.ProcessState.ExitCode(); code != exitCode {
			t.Fatalf("the child ended with %v, want exit code %d", p.cmd.ProcessState, exitCode)
		}
		deaths++
		l.endClaims()
	}
	last := spawn(t, s)
	eventually(t, "all good messages are handled", func() bool { n, err := l.effected(); return err == nil && n == 200 })
	eventually(t, "only the parked row remains", func() bool { return l.failed() == 1 })
	last.stop()
	rows, err := l.failures().List(t.Context(), parley.FailureQuery{Consumer: l.work()}, 0, 10)
	if err != nil || len(rows) != 1 || rows[0].State != parley.FailureParked {
		t.Fatalf("the table has %d rows (%v), want only the parked one", len(rows), err)
	}
	t.Logf("parked after %d process ends: %s", deaths, rows[0].History.Reason)
	e := l.evidence()
	e.effects[poison]++ // parking counts as handling here
	f := e.inEffect()
	f.check(t, 0)
	counts.add(t, f.row("a message that ends its process among 200 good ones, quorum queue", deaths))
}

// declareQuorum declares the work queue with a delivery limit, as the keeper does.
func (l *lab) declareQuorum(limit int64) {
	l.t.Helper()
	topology := l.workTopology()
	topology.Queues[0].Arguments = map[string]any{"x-queue-type": "quorum", "x-delivery-limit": limit}
	if err := l.direct().Declare(l.t.Context(), topology); err != nil {
		l.t.Fatal(err)
	}
}

// A quorum queue drops a message that it has delivered more often than its limit, even if no handler has seen
// it.
func TestProcessesThatEndRightAfterTheirStartLoseNothingOfAQuorumQueueWithALowLimit(t *testing.T) {
	needAll(t)
	for name, setting := range map[string]string{"with a failure store": "", "without": "VICTIM_WITHOUT_STORE=1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			t.Cleanup(l.removeWork)
			const limit, kills, stops, events = 5, 20, 8, 100
			s := l.keeper(setting, fmt.Sprint("VICTIM_DELIVERY_LIMIT=", limit))
			s.Queue, s.Fail = l.work(), 0
			l.declareQuorum(limit)
			l.note(0, events, "slow")
			l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
			for n := range kills + stops {
				begin := time.Now()
				p := spawn(t, s)
				p.works()
				// 0.1 s, or proportionally longer on a machine that starts processes slowly.
				pass(max(100*time.Millisecond, time.Since(begin)/3))
				if n < kills {
					p.kill()
				} else {
					p.stop()
				}
			}
			last := spawn(t, s)
			l.handledOrParked(events, setting == "")
			last.works() // all events may be done before it is ready to be stopped
			last.stop()
			e := l.evidence()
			for n := range l.workParked() { // it was unacked at more process ends than PoisonLimit allows
				t.Logf("event %d is parked", n)
				e.effects[n]++
			}
			f := e.inEffect()
			f.check(t, 0)
			counts.add(t, f.row("ends of processes right after their start, quorum queue with x-delivery-limit 5, "+name, kills+stops))
		})
	}
}

// handledOrParked waits until every event has had its effect or is parked: in the table, or without one in the parked queue.
func (l *lab) handledOrParked(events int, table bool) {
	l.t.Helper()
	progressing(l.t, "every event has had its effect, or is parked", func() (int, error) {
		n, err := l.effected()
		inQueue, missing := l.ready(l.work() + ".parked")
		if err == nil && !table {
			err = missing
		}
		return max(0, events-n-l.failed(parley.FailureParked)-inQueue), err
	})
}

// workParked returns the numbers of the parked events, in the table or in the parked queue of the work queue.
func (l *lab) workParked() map[int64]bool {
	l.t.Helper()
	out := map[int64]bool{}
	note := func(body []byte) error {
		a, err := readArrival(amqp.Delivery{Body: body})
		out[a.number] = true
		return err
	}
	rows, err := l.failures().List(l.t.Context(), parley.FailureQuery{States: []parley.FailureState{parley.FailureParked}}, 0, 1000)
	for i := 0; err == nil && i < len(rows); i++ {
		var row parley.FailureRow
		if row, err = l.failures().Get(l.t.Context(), rows[i].ID); err == nil {
			err = note(row.Message.Body)
		}
	}
	if n, missing := l.ready(l.work() + ".parked"); err == nil && missing == nil && n > 0 {
		err = parley.VisitParked(l.t.Context(), l.direct(), l.work(), nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
			return parley.ParkedKeep, note(m.Body)
		})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}
