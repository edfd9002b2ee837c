//go:build unix

package faulttests_test

import (
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// RabbitMQ closes the channel at the first message for a deleted exchange, with all other messages in flight on it.
func TestAnExchangeThatIsDeletedUnderLoadCostsTheOthersNothingAndGoesOnWhenItIsBack(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	relay := l.relay(l.database, l.broker, func(c *parley.RelayConfig, m *rabbitmq.Config) {
		c.Unroutable, m.Topology = parley.UnroutablePark, parley.TopologyVerify
	})
	stopLoad := l.load(500)
	const times = 3
	for range times {
		before, parked := l.passed(l.exchanges[0]), l.count("parley_parked")
		eventually(t, "both exchanges get events", func() bool { return l.passed(l.exchanges[0]) > before })
		if err := l.onBroker(func(ch *amqp.Channel) error { return ch.ExchangeDelete(l.exchanges[1], false, false) }); err != nil {
			t.Fatal(err)
		}
		eventually(t, "events of the missing exchange are parked", func() bool { return l.count("parley_parked") > parked })
		before = l.passed(l.exchanges[0])
		eventually(t, "events of the other exchange arrive", func() bool { return l.passed(l.exchanges[0]) > before+20 })
		l.declare()
		before = l.passed(l.exchanges[1])
		eventually(t, "events of the restored exchange arrive", func() bool { return l.passed(l.exchanges[1]) > before+20 })
	}
	stopLoad()
	l.drained()
	relay.stop()
	if n := l.count("parley_parked WHERE exchange <> '" + l.exchanges[1] + "'"); n != 0 {
		t.Errorf("%d events of the other exchange are parked", n)
	}
	f := l.judged()
	f.check(t, times*200)
	counts.add(t, f.row("an exchange that is deleted under load", times))
}

// passed counts the events of an exchange that the relay has published.
func (l *lab) passed(exchange string) int {
	l.t.Helper()
	return l.count(fmt.Sprintf(`ledger WHERE exchange = '%s' AND event_id NOT IN (SELECT id FROM parley_outbox)
 AND event_id NOT IN (SELECT record_id FROM parley_parked)`, exchange))
}
