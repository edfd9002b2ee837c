//go:build unix

package faulttests_test

import (
	"testing"
	"time"
)

// A graceful shutdown settles the current batch, so no message is repeated.
func TestRelaysThatAreStoppedAtAnyMomentDoubleNothing(t *testing.T) {
	l := newLab(t, 2)
	stopLoad := l.load(800)
	random := chance(t)
	const stops = 30
	for range stops {
		p := spawn(t, l.child("relay"))
		p.works()
		<-time.After(time.Duration(random.IntN(100)) * time.Millisecond) // the moment of the shutdown
		p.stop()
	}
	stopLoad()
	last := spawn(t, l.child("relay"))
	last.works()
	l.drained()
	last.stop()
	f := l.judged()
	f.check(t, 0)
	counts.add(t, f.row("SIGTERM of the relay under load", stops))
}

// Without an inbox every redelivery would be a second effect.
func TestConsumersThatAreStoppedAtAnyMomentHandleNothingTwice(t *testing.T) {
	l := newLab(t, 2)
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(800)
	random := chance(t)
	s := l.child("consumer")
	s.WithoutInbox = true
	const stops = 30
	for range stops {
		p := spawn(t, s)
		p.works()
		<-time.After(time.Duration(random.IntN(100)) * time.Millisecond) // the moment of the shutdown
		p.stop()
	}
	stopLoad()
	l.drained()
	relay.stop()
	last := spawn(t, s)
	l.handled()
	last.stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("SIGTERM of the consumer under load, without an inbox", stops))
}
