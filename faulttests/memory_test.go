//go:build unix

package faulttests_test

import (
	"bytes"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The broker sends as many messages as the prefetch allows, and the client library keeps them. What the consumer may
// hold is limited in bytes, so it has to reduce the prefetch.
func TestThreeHundredLargeMessagesStayWithinTheByteBudget(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	l.publish(300)
	l.multiply(1, func(m *amqp.Publishing) {
		large := []byte(`"payload": {"fill": "slow ` + strings.Repeat("x", 1<<20) + `", `)
		m.Body = bytes.Replace(m.Body, []byte(`"payload": {`), large, 1)
	})
	s := l.child("consumer")
	s.Plain = true
	s.Settings = []string{"PARLEY_CONSUMER_PREFETCH=300", "PARLEY_CONSUMER_MAX_BYTES=67108864"}
	p := spawn(t, s)
	l.handled()
	peak := p.peak()
	p.stop()
	t.Logf("the consumer had at most %d MiB resident", peak)
	if peak >= 200 {
		t.Errorf("the consumer had %d MiB resident, want less than 200 with 64 MiB for bodies", peak)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("messages of 1 MiB for a prefetch of 300 and a budget of 64 MiB", f.events))
}
