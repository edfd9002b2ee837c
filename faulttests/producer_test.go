package faulttests_test

import (
	"fmt"
	"testing"
)

func TestAKilledProducerLeavesAnEventExactlyWhereItsTransactionCommitted(t *testing.T) {
	l := newLab(t, 2)
	relay := l.relay(l.database, l.broker, nil)
	places := []point{beforeInsert, afterInsert, afterLedger, afterLedgerCommit}
	const kills, pass = 40, 20
	for kill := range kills {
		s := l.child("producer")
		s.Point, s.Pass, s.First = places[kill%len(places)], pass, int64(1000*kill+1)
		spawn(t, s).diedAt(s.Point)
	}
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	// One place in four is behind the commit.
	if want := kills*pass - kills*3/4; f.events != want {
		t.Errorf("%d events were committed, want %d", f.events, want)
	}
	counts.add(t, f.row(fmt.Sprintf("kill -9 of the producer at %d points", len(places)), kills))
}
