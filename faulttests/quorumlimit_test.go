//go:build unix

package faulttests_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// RabbitMQ 4 counts a delivery for each unacked message at each end of a subscription, and drops a message above the limit.
func TestAQuorumQueueWithADeliveryLimitLosesNothingInTwentyFiveStopsAndFortyKills(t *testing.T) {
	needCluster(t)
	broker := privateRabbitMQ(t)
	version, err := testenv.RabbitMQServer.Version(t.Context(), broker.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{5, 20} {
		for name, setting := range map[string]string{"with a failure store": "", "without one": "VICTIM_WITHOUT_STORE=1"} {
			t.Run(fmt.Sprintf("limit %d %s", limit, name), func(t *testing.T) {
				t.Parallel()
				l := newLabOn(t, testenv.Postgres(t), broker.url, 1)
				t.Cleanup(l.removeWork)
				s := l.keeper(setting, fmt.Sprint("VICTIM_DELIVERY_LIMIT=", limit))
				s.Queue, s.Fail = l.work(), 0
				l.declareQuorum(limit)
				l.note(0, endEvents, "slow")
				l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
				l.endRepeatedly(s, name, fmt.Sprintf("quorum queue with limit %d of RabbitMQ %s, %s", limit, version, name))
			})
		}
	}
}

// endEvents is more than the consumers handle before the last kill.
const endEvents = 1000

// endRepeatedly stops a consumer 25 times and kills it 40 times. Every third kill comes later than a second after the subscription.
func (l *lab) endRepeatedly(s childSpec, store, queue string) {
	l.t.Helper()
	const stops, kills = 25, 40
	for range stops {
		p := spawn(l.t, s)
		p.works()
		pass(100 * time.Millisecond)
		p.stop()
	}
	if parked := len(l.workParked()); parked > 0 {
		l.t.Errorf("%d messages are parked after clean stops", parked)
	}
	l.endClaims()
	for n := range kills {
		p := spawn(l.t, s)
		p.works()
		pass(100 * time.Millisecond)
		if n%3 == 2 {
			pass(1100 * time.Millisecond)
		}
		p.kill()
		l.endClaims()
	}
	if n, err := l.effected(); err != nil || n >= endEvents {
		l.t.Errorf("%d of %d events were handled before the last kill (%v), so the test proves little", n, endEvents, err)
	}
	last := spawn(l.t, s)
	l.handledOrParked(endEvents, store != "without one")
	last.works() // all events may be done before it is ready to be stopped
	last.stop()
	e := l.evidence()
	for n := range l.workParked() {
		l.t.Logf("event %d is parked", n)
		e.effects[n]++
	}
	f := e.inEffect()
	f.check(l.t, 0)
	counts.add(l.t, f.row(fmt.Sprintf("%d stops and %d kills, %s", stops, kills, queue), stops+kills))
}
