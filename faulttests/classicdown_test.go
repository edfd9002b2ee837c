//go:build unix

package faulttests_test

import (
	"syscall"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// A classic queue takes nothing while its node is down. The publisher must learn of it, although another queue takes the event.
func TestAClusterThatLosesTheNodeOfAClassicQueueConfirmsNoEventThatTheQueueDidNotTake(t *testing.T) {
	needCluster(t)
	c := newCluster(t)
	name := testenv.Unique(t, "classic")
	owner := c.connect(2)
	for _, exchange := range []string{name + ".alone", name + ".both"} {
		err := owner.ExchangeDeclare(exchange, "topic", true, false, false, false, nil)
		if err == nil {
			_, err = owner.QueueDeclare(exchange, true, false, false, false, amqp.Table{"x-queue-type": "classic"})
		}
		if err == nil {
			err = owner.QueueBind(exchange, "#", exchange, false, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first := c.connect(0)
	_, err := first.QueueDeclare(name+".quorum", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	if err == nil {
		err = first.QueueBind(name+".quorum", "#", name+".both", false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.nodes[2].signal(syscall.SIGKILL)
	b := brokerAt(t, c.nodes[0].url)
	publish := func(exchange string) error {
		errs := b.Publish(t.Context(), []parley.Message{{Exchange: exchange, RoutingKey: "noted", ID: "while the node is down", Body: []byte("{}")}})
		if errs == nil {
			return nil
		}
		return errs[0]
	}
	// The other nodes may take some seconds to notice.
	eventually(t, "an event that no other queue takes is reported", func() bool { return publish(name+".alone") != nil })
	outcomes := map[string]error{".alone": publish(name + ".alone"), ".both": publish(name + ".both")}
	c.nodes[2].start()
	c.complete()
	for suffix, outcome := range outcomes {
		n, _, err := b.QueueLen(t.Context(), name+suffix)
		t.Logf("%s: the outcome was %v, and the classic queue has %d messages (%v)", suffix, outcome, n, err)
		if outcome == nil && n == 0 {
			t.Errorf("%s: the broker confirmed an event that the queue did not take", suffix)
		}
	}
}
