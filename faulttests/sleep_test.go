//go:build unix

package faulttests_test

import (
	"testing"
	"time"
)

// The points of a relay on its way to sleep, and of one that is woken.
const (
	beforeFlag    point = "sleep.raising"
	afterFlag     point = "sleep.raised"
	afterSnapshot point = "sleep.snapshot"
	afterTest     point = "sleep.tested"
	beforeLower   point = "sleep.lowering"
)

// sleepPoll is so long that an event which only a poll finds is late.
const sleepPoll = time.Minute

func TestARelayKilledOnItsWayToSleepDelaysNoEventUntilAPoll(t *testing.T) {
	needAll(t)
	strikeSleepers(t, "kill -9 of a relay on its way to sleep", false)
}

// The server ends the silent session of a frozen relay after 15 seconds; another relay delivers before that.
func TestARelayFrozenOnItsWayToSleepDelaysNoEventUntilAPoll(t *testing.T) {
	needAll(t)
	strikeSleepers(t, "freeze of a relay on its way to sleep", true)
}

func strikeSleepers(t *testing.T, name string, freeze bool) {
	for _, at := range []point{beforeFlag, afterFlag, afterSnapshot, afterTest, beforeLower} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			l.produce(10)
			s := l.child("relay")
			s.Settings = []string{"PARLEY_RELAY_POLL_INTERVAL=" + sleepPoll.String()}
			other := s
			s.Point, s.Freeze = at, freeze
			victim := spawn(t, s)
			if at == beforeLower {
				l.asleep()
				l.produce(1) // its wake-up lowers the flag
			}
			if freeze {
				eventually(t, "the relay stops at "+string(at), victim.frozen)
			} else {
				victim.diedAt(at)
			}
			successor := spawn(t, other)
			l.drained()
			var latest time.Duration
			for range 5 {
				latest = max(latest, l.delivered())
			}
			if latest > sleepPoll/2 {
				t.Errorf("an event took %v, want less than half a poll interval of %v", latest, sleepPoll)
			}
			if freeze {
				victim.kill()
			}
			successor.stop()
			f := l.judged()
			f.check(t, 10)
			r := f.row(name+" at "+string(at), 1)
			r.recovery = latest
			counts.add(t, r)
		})
	}
}
