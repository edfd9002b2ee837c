//go:build unix

package faulttests_test

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley/internal/testenv"
)

// silence is how long a node is frozen or cut off: the other nodes notice it after up to 13 s (net_ticktime 10 s).
const silence = 30 * time.Second

// longestOutage bounds the time without any effect. It is less than a minute: no client waits until a node that is cut off is back.
const longestOutage = 50 * time.Second

// A clusterFault happens under load to the node that all clients are connected to and that leads a queue.
type clusterFault struct {
	name string
	do   func(c *cluster, n *clusterNode)
	// partition faults cut links between nodes.
	partition bool
	// limit bounds the time without any effect. Default: longestOutage.
	limit time.Duration
}

var clusterFaultList = []clusterFault{
	{name: "kill -9 of the clients' node, back after 10 s", do: func(_ *cluster, n *clusterNode) {
		n.signal(syscall.SIGKILL)
		pass(10 * time.Second)
		n.start()
	}},
	{name: "stop_app of the clients' node, start_app after 10 s", do: func(_ *cluster, n *clusterNode) {
		n.control("stop_app")
		pass(10 * time.Second)
		n.control("start_app")
	}},
	{name: "SIGSTOP of the clients' node for 30 s", do: func(_ *cluster, n *clusterNode) {
		n.freeze(silence, false).do()
	}},
	// RabbitMQ 4.3 keeps the connections of such a node; earlier versions close them (pause_minority).
	{name: "the clients' node is cut off from the other nodes for 60 s, clients reach it", partition: true, do: func(c *cluster, n *clusterNode) {
		c.cutOff(n)
		pass(2 * silence)
		c.heal()
	}},
	{name: "the clients' node is cut off from nodes and clients for 30 s", partition: true, do: func(c *cluster, n *clusterNode) {
		c.cutOff(n)
		n.client.Blackhole()
		pass(silence)
		c.heal()
	}},
	{name: "all nodes are cut off from each other for 30 s, so no majority is left", partition: true, limit: 90 * time.Second, do: func(c *cluster, _ *clusterNode) {
		for _, n := range c.nodes {
			c.cutOff(n)
		}
		pass(silence)
		c.heal()
	}},
}

// Messages and retries are in quorum queues of three nodes. Two relays and two consumers know all three nodes.
func TestAClusterThatLosesNodesLinksOrItsMajorityLosesAndDoublesNothing(t *testing.T) {
	needCluster(t)
	c := newCluster(t)
	for _, f := range clusterFaultList {
		t.Run(f.name, func(t *testing.T) {
			c.on(t)
			l := newLabWith(t, testenv.Postgres(t), c.urls(), 2, amqp.Table{"x-queue-type": "quorum", "x-queue-leader-locator": "balanced"})
			relay, work := l.child("relay"), l.quorumConsumer()
			if version := c.version(); f.partition && !strings.Contains(version, " 4.3.") {
				// Retry queues with at-least-once may stay without a leader for minutes (seen on 4.0.5).
				work.Settings = append(work.Settings, "PARLEY_CONSUMER_FAILURES_STORE=sql")
			}
			node := c.leader(l.queue)
			children := c.startOn(node, relay, relay, work, work)
			stopLoad := l.load(200)
			watch := stopwatch{t: t}
			watch.until("events have effects", l.effected, time.Now(), 300)
			complaints := 0
			for _, p := range children {
				complaints += p.complaints()
			}
			f.do(c, node)
			c.complete()
			was, err := l.effected()
			if err != nil {
				t.Fatal(err)
			}
			watch.until("events have effects after the fault", l.effected, time.Now(), was+200)
			stopLoad()
			l.drained()
			l.handled()
			for _, p := range children {
				p.stop()
				complaints -= p.complaints()
			}
			if complaints >= 0 {
				t.Error("no process has noticed the fault, so the test proves nothing")
			}
			c.complete() // a node that restarts would end the reading of the queue
			// Each relay that loses its connection may repeat its batch.
			l.outage(f.name, c.version(), 10*100)
			if gap := l.longestGap(); gap > cmp.Or(f.limit, longestOutage) {
				t.Errorf("the longest gap is %v, want at most %v", gap, cmp.Or(f.limit, longestOutage))
			}
		})
	}
}

// startOn starts children that all connect to one node. Later they may connect to any node.
func (c *cluster) startOn(n *clusterNode, specs ...childSpec) (out []*process) {
	c.t.Helper()
	c.only(n)
	for _, s := range specs {
		out = append(out, spawn(c.t, s))
	}
	for _, p := range out {
		p.works()
	}
	c.heal()
	return out
}

// only lets new clients connect to one node only, until heal.
func (c *cluster) only(n *clusterNode) {
	for _, other := range c.nodes {
		if other != n {
			other.client.Refuse()
		}
	}
}

// quorumConsumer is a consumer whose work queue and retry queues are quorum queues. One event in 20 fails at its first attempt.
func (l *lab) quorumConsumer() childSpec {
	s := l.consumer()
	s.Fail = 20
	s.Settings = append(s.Settings, "PARLEY_BROKER_QUEUE_TYPE=quorum")
	return s
}

// on lets a subtest use the cluster.
func (c *cluster) on(t *testing.T) {
	for _, n := range c.nodes {
		n.t = t
	}
	c.t = t
}

// version returns the version of the nodes, for the table.
func (c *cluster) version() string {
	c.t.Helper()
	version, err := testenv.RabbitMQServer.Version(c.t.Context(), c.nodes[0].url)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("RabbitMQ %s, %d nodes", version, clusterSize)
}
