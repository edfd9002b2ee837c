//go:build unix

package faulttests_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// A slow link is not a dead one: heartbeats and confirms are late, but they arrive.
func TestASlowLinkIsNotTakenForADeadOneAndIsUsedWell(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	proxy, broker := through(t, l.broker)
	stop := l.consumeThrough(broker)
	relay := l.relay(l.database, broker, nil)
	warm := writer{l: l, group: 1}
	if err := warm.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.handled()
	connected := proxy.Count(faultproxy.Connected)
	const speed, events, size = 8000, 36, 4000 // 64 kbit/s; 144 kB take 18 s at least
	proxy.Throttle(speed)
	proxy.Latency(200 * time.Millisecond)
	w := writer{l: l, group: events, fill: strings.Repeat("x", size)}
	if err := w.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	used := float64(events*size) / l.drained().Seconds() / speed
	t.Logf("bodies used %.0f %% of the link", 100*used)
	if used < 0.7 {
		t.Errorf("bodies used %.0f %% of the link, want at least 70 %%", 100*used)
	}
	l.handled()
	if n := proxy.Count(faultproxy.Connected) - connected; n != 0 || relay.felt() != 0 {
		t.Errorf("the relay reconnected %d times and had %d errors, want 0 of both", n, relay.felt())
	}
	felt := proxy.Count(faultproxy.Throttled)
	proxy.Heal()
	stop()
	relay.stop()
	e := l.evidence()
	e.inEffect().check(t, 0)
	e.arrivals = l.arrivals()
	f := e.inQueue()
	f.check(t, 0)
	counts.add(t, f.row("a link of 64 kbit/s and 200 ms", felt))
}
