package rabbitmq

import (
	"errors"
	"time"
)

const (
	// isolationInterval is how often a subscription asks its node of a cluster whether it still reaches the queue.
	isolationInterval = 5 * time.Second
	// isolationMisses is how many answers in a row show that it does not. One may come from a slow queue, or from an election.
	isolationMisses = 4
)

var errIsolated = errors.New("the node does not reach the queue: it is probably cut off from its cluster")

// An isolation counts the signs that a node is cut off from its cluster.
//
// RabbitMQ 4.3 keeps the connections of a node that is cut off. Its consumers get nothing, and no error, until the node is back. But such a
// node counts no consumers of a queue whose leader it does not reach, although this subscription is one.
type isolation struct{ misses int }

// observe takes an answer, the number of consumers of the subscribed queue. It reports whether the node is cut off.
func (i *isolation) observe(consumers int, err error) bool {
	if err != nil || consumers > 0 { // an error is not a sign: the queue may have been deleted
		i.misses = 0
		return false
	}
	i.misses++
	return i.misses >= isolationMisses
}

// leaveIsolated closes the connection if its node is cut off from its cluster, so that the consumer resubscribes at the next node. It
// runs until the subscription ends. With one address there is no other node.
func (s *subscription) leaveIsolated() {
	if len(s.b.addresses) < 2 {
		return
	}
	tick := time.NewTicker(isolationInterval)
	defer tick.Stop()
	var signs isolation
	for {
		select {
		case <-s.ended:
			return
		case <-tick.C:
		}
		state, err := s.s.state(s.queue)
		if !signs.observe(state.Consumers, err) {
			continue
		}
		s.b.cfg.Logger.Warn("rabbitmq: closing the connection", "queue", s.queue, "err", errIsolated)
		s.b.consume.drop(s.s)
		_ = closeSoon(s.s.conn) // it is useless anyhow
		return
	}
}
