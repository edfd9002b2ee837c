//go:build unix

package faulttests_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley/internal/testenv"
)

// A takeover is a quorum queue whose deliveries are in the hand of a consumer that loses its node.
type takeover struct {
	name      string
	arguments amqp.Table
	queue     string
	took      time.Duration // from the kill to the first redelivery
}

// RabbitMQ 4.3 keeps the deliveries of a consumer whose node is lost for x-consumer-disconnected-timeout, 60 s by default. parley declares
// its queues with 10 s. The consumer's node stays down here.
func TestAClusterThatLosesTheNodeOfAConsumerGivesItsDeliveriesBackAfterTheTimeoutOfTheQueue(t *testing.T) {
	needCluster(t)
	c := newCluster(t)
	first, second := c.connect(0), c.connect(1)
	const timeout, single = "x-consumer-disconnected-timeout", "x-single-active-consumer"
	queues := []*takeover{
		{name: "no argument"}, {name: "no argument, single active consumer", arguments: amqp.Table{single: true}},
		{name: "10 s", arguments: amqp.Table{timeout: int64(10_000)}},
		{name: "10 s, single active consumer", arguments: amqp.Table{timeout: int64(10_000), single: true}},
	}
	var waiting []<-chan amqp.Delivery
	for _, q := range queues {
		waiting = append(waiting, q.prepare(t, first, second))
	}
	c.nodes[0].signal(syscall.SIGKILL)
	killed := time.Now()
	var all sync.WaitGroup
	for i, q := range queues {
		all.Go(func() {
			select {
			case <-waiting[i]:
				q.took = time.Since(killed)
			case <-time.After(2 * patience):
			}
		})
	}
	all.Wait()
	version, err := testenv.RabbitMQServer.Version(t.Context(), c.nodes[1].url)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queues {
		t.Logf("RabbitMQ %s, %s: the messages were redelivered after %v", version, q.name, q.took.Round(100*time.Millisecond))
		// Versions before 4.3 give them back as soon as they see that the node is down.
		if limit := 30 * time.Second; q.took == 0 || q.took > limit && strings.HasPrefix(q.name, "10 s") {
			t.Errorf("%s: the messages were redelivered after %v (0: never), want at most %v", q.name, q.took, limit)
		}
	}
	c.nodes[0].start()
}

// connect returns a channel to a node.
func (c *cluster) connect(node int) *amqp.Channel {
	c.t.Helper()
	conn, err := amqp.Dial(c.nodes[node].url)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return ch
}

// prepare gives five messages into the hand of the first consumer, and returns the deliveries of the second one. The second one's
// node leads the queue.
func (q *takeover) prepare(t *testing.T, first, second *amqp.Channel) <-chan amqp.Delivery {
	t.Helper()
	q.queue = testenv.Unique(t, "takeover")
	arguments := amqp.Table{"x-queue-type": "quorum", "x-queue-leader-locator": "client-local"}
	for name, value := range q.arguments {
		arguments[name] = value
	}
	const messages = 5
	_, err := second.QueueDeclare(q.queue, true, false, false, false, arguments)
	for n := 0; err == nil && n < messages; n++ {
		var confirm *amqp.DeferredConfirmation
		if confirm, err = second.PublishWithDeferredConfirm("", q.queue, false, false, amqp.Publishing{Body: fmt.Append(nil, n)}); err == nil {
			_, err = confirm.WaitContext(t.Context())
		}
	}
	var held, other <-chan amqp.Delivery
	if err == nil {
		held, err = first.Consume(q.queue, "", false, false, false, false, nil)
	}
	for range messages {
		select {
		case <-held:
		case <-time.After(patience):
			t.Fatalf("%s: the first consumer gets no message", q.name)
		}
	}
	if err == nil {
		other, err = second.Consume(q.queue, "", false, false, false, false, nil)
	}
	if err != nil {
		t.Fatalf("%s: %v", q.name, err)
	}
	return other
}
