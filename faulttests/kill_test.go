//go:build unix

package faulttests_test

import (
	"testing"
	"time"
)

func TestARelayKilledTwentyTimesInMidBatchLosesNothing(t *testing.T) {
	newLab(t, 2).killRelays("kill -9 of the relay in mid-batch", 1000, func() {})
}

func TestARelayKilledTwentyTimesInMidBatchOverMariaDBLosesNothing(t *testing.T) {
	newMariaDBLab(t, 2).killRelays("kill -9 of the relay in mid-batch, over MariaDB", 1000, func() {})
}

// On SQLite the lease of a dead relay ends only by time, after 15 s. The test ends it by an UPDATE.
func TestARelayKilledTwentyTimesInMidBatchOverSQLiteLosesNothing(t *testing.T) {
	needAll(t)
	l := newSQLiteLab(t, 2)
	l.killRelays("kill -9 of the relay in mid-batch, over SQLite", 200, l.endLeases)
}

// endLeases ends the leases of SQLite's relays.
func (l *lab) endLeases() {
	l.t.Helper()
	for _, q := range []string{"UPDATE parley_lease SET until = 0", "UPDATE parley_held SET until = 0"} {
		if _, err := l.db.ExecContext(l.t.Context(), q); err != nil {
			l.t.Fatal(err)
		}
	}
}

// killRelays kills one relay after another under load, at five failpoints of a batch. bury is called after each kill.
func (l *lab) killRelays(name string, rate int, bury func()) {
	l.t.Helper()
	const batch = 100
	l.produce(3000) // so that a full batch is due at any time
	stopLoad := l.load(rate)
	places := []point{midPublish, afterPublish, afterDelete, beforePublish, afterCommit}
	watch := stopwatch{t: l.t}
	begin := time.Now()
	for kill := range 20 {
		s := l.child("relay")
		s.Batch, s.Point, s.Pass = batch, places[kill%len(places)], 1+kill%3
		spawn(l.t, s).diedAt(s.Point)
		bury()
	}
	l.t.Logf("20 kills took %v", time.Since(begin))
	was, err := l.moved()
	if err != nil {
		l.t.Fatal(err)
	}
	last := time.Now()
	successor := spawn(l.t, l.child("relay"))
	watch.until("the next relay sends events", l.moved, last, was)
	stopLoad()
	l.drained()
	successor.stop()
	f := l.judged()
	f.check(l.t, 20*batch)
	r := f.row(name, 20)
	r.recovery = watch.longest
	counts.add(l.t, r)
}

// Only messages that were in flight when the relay died are sent again: none before the first byte, none after the commit.
func TestARelayKilledAtAnyPlaceOfABatchRepeatsWhatWasOnItsWayAtMost(t *testing.T) {
	needAll(t)
	const batch, kills = 50, 10
	whole := []string{"PARLEY_BROKER_WINDOW=1000"} // the batch fits in one window
	for _, place := range []struct {
		name     string
		at       point
		pass     int
		settings []string
		repeats  int
	}{
		{"claimed", beforePublish, 1, nil, 0},
		{"half of it sent", midPublish, 1, nil, batch / 2},
		{"all of it sent", midPublish, 1, whole, batch},
		{"half of it confirmed", midConfirm, batch / 2, whole, batch},
		{"all of it confirmed", afterPublish, 1, nil, batch},
		// PostgreSQL deletes and commits in one round trip; MariaDB and SQLite have a failpoint between them.
		{"before the commit", afterDelete, 1, nil, batch},
		{"after the commit", afterCommit, 1, nil, 0},
	} {
		t.Run(place.name, func(t *testing.T) {
			l := newLab(t, 1) // the declaration of a second exchange would flush the first half
			l.produce(2 * batch * kills)
			s := l.child("relay")
			s.Batch, s.Point, s.Pass, s.Settings = batch, place.at, place.pass, place.settings
			for range kills {
				spawn(t, s).diedAt(place.at)
			}
			last := spawn(t, l.child("relay"))
			l.drained()
			last.stop()
			f := l.judged()
			f.check(t, kills*place.repeats)
			if place.repeats > 0 && len(f.doubled) == 0 {
				t.Error("no event arrived twice, so the relay did not die at this failpoint")
			}
			counts.add(t, f.row("kill -9 of the relay, its batch "+place.name, kills))
		})
	}
}
