//go:build unix

package faulttests_test

import (
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

func TestAConsumerKilledTwentyTimesAtEachPlaceLosesNothingAndRepeatsNoEffect(t *testing.T) {
	needAll(t)
	l := newLab(t, 2)
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(500)
	random := chance(t)
	s := l.child("consumer")
	s.Fail, s.Park = 20, 50
	places := []point{beforeHandler, afterRecord, afterEffect, afterEffectCommit, beforeAck, afterAck, afterRetryQueue, afterPark}
	const kills = 20
	for range kills {
		for _, at := range places {
			s.Point, s.Pass = at, 1+random.IntN(20)
			if at == afterRetryQueue || at == afterPark {
				s.Pass = 1 // the process handles many messages before each of these
			}
			spawn(t, s).diedAt(at)
		}
	}
	stopLoad()
	l.drained()
	relay.stop()
	s.Point = ""
	last := spawn(t, s)
	parked := l.settleParked(last)
	last.stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	if parked == 0 {
		t.Error("no event was parked and replayed")
	}
	counts.add(t, f.row(fmt.Sprintf("kill -9 of the consumer, %d times at each of %d places", kills, len(places)), kills*len(places)))
}

// The copy in the parked queue is confirmed, but the ack is not sent: the message is redelivered and parked again. It may
// be parked twice, but must be parked.
func TestAConsumerKilledBetweenParkingAndAckLosesNothing(t *testing.T) {
	needAll(t)
	l := newLab(t, 1)
	const kills, park = 50, 10
	l.produce(2 * kills * park)
	l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
	s := l.child("consumer")
	s.Park, s.Point = park, afterPark
	for range kills {
		spawn(t, s).diedAt(afterPark)
	}
	s.Point = ""
	l.consumeAll(s)
	parked, again := l.parkedNumbers()
	if again == 0 || again > kills*8 { // one per worker
		t.Errorf("%d messages are parked more than once after %d kills between parking and ack", again, kills)
	}
	e := l.evidence()
	for n := range parked {
		if n%park != 0 || e.effects[n] != 0 {
			t.Errorf("event %d is parked, and had %d effects", n, e.effects[n])
		}
		e.effects[n]++ // parking counts as handling here
	}
	f := e.inEffect()
	f.check(t, 0)
	counts.add(t, f.row("kill -9 of the consumer between parking and ack", kills))
}

// parkedNumbers reads the parked queue, and counts the duplicates in it.
func (l *lab) parkedNumbers() (parked map[int64]bool, again int) {
	l.t.Helper()
	parked = map[int64]bool{}
	err := parley.VisitParked(l.t.Context(), l.direct(), l.queue, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		a, err := readArrival(amqp.Delivery{Body: m.Body})
		if parked[a.number] {
			again++
		}
		parked[a.number] = true
		return parley.ParkedKeep, err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return parked, again
}
