//go:build unix

package faulttests_test

import (
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// After any fault of its connection a consumer resubscribes, and redelivered messages have no second effect.
func TestAConsumerWhoseConnectionIsStruckTwoHundredTimesLosesNothingAndRepeatsNoEffect(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	proxy, broker := through(t, l.broker)
	stop := l.consumeThrough(broker)
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(300)
	watch := stopwatch{t: t}
	random := chance(t)
	struck := func() int {
		return proxy.Count(faultproxy.Cuts) + proxy.Count(faultproxy.HungUp) + proxy.Count(faultproxy.Held)
	}
	const faults = 200
	for n := range faults {
		was, err := l.effected()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the consumer handles events", func() bool { now, err := l.effected(); return err == nil && now > was })
		before := struck()
		short := time.NewTimer(time.Duration(random.IntN(50)) * time.Millisecond) // the duration of the fault
		switch n % 5 {
		case 0: // retried, because it may not be connected yet
			eventually(t, "a connection is cut", func() bool { return proxy.Cut() > 0 })
		case 1:
			eventually(t, "a connection is closed", func() bool { return proxy.HangUp() > 0 })
		case 2:
			proxy.CutAfter(int64(random.IntN(500))) // in mid-acknowledgement
		case 3:
			proxy.Blackhole()
		default:
			proxy.BlackholeToServer() // the broker gets no ack of this connection any more
		}
		eventually(t, "the fault reaches the connection", func() bool { return struck() > before })
		<-short.C
		if n%5 == 4 {
			proxy.Cut()
		}
		proxy.Heal()
		if was, err = l.effected(); err != nil {
			t.Fatal(err)
		}
		watch.until("the consumer handles events again", l.effected, time.Now(), was)
	}
	stopLoad()
	l.drained()
	l.handled()
	stop()
	relay.stop()
	if testenv.Late(l.t, watch.longest, recoveryLimit) {
		t.Errorf("the consumer recovered after %v, want at most %v", watch.longest, recoveryLimit)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	r := f.row("cuts, hang-ups and black holes between consumer and broker", faults)
	r.recovery = watch.longest
	counts.add(t, r)
}
