package command

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/management"
	"github.com/parley-go/parley/service/settings"
)

// cluster examines what only the management plugin of RabbitMQ shows: nodes, leaders, members, policies and limits.
func (d *doctor) cluster(ctx context.Context) {
	s := d.s.Settings
	queues := s.RunQueues()
	quorum := slices.ContainsFunc(queues, func(q settings.Queue) bool { return q.Type == "quorum" })
	if s.Broker.ManagementURL == "" {
		if quorum || len(s.Broker.URLs) > 1 {
			d.warn("cluster", "cannot determine leaders, members, policies and delivery limits: AMQP does not show them", "set broker.management_url")
		}
		return
	}
	user, password, vhost := brokerLogin(s)
	tls, err := s.Broker.TLS.Config()
	if err != nil {
		d.failed("cluster", err, "")
		return
	}
	if tls != nil {
		tls.ServerName = "" // the name of the broker's certificate
	}
	client, err := management.New(s.Broker.ManagementURL.Reveal(), user, password, tls)
	if err != nil {
		d.failed("cluster", err, "")
		return
	}
	defer client.Close()
	nodes, err := client.Nodes(ctx)
	if err != nil {
		d.warn("cluster", "cannot determine: "+s.Redact(err, password).Error(), "check broker.management_url and that the management plugin is enabled")
		return
	}
	judgeNodes(&d.found, nodes)
	if all, err := client.Queues(ctx, vhost); err == nil {
		judgeLeaders(&d.found, nodes, all)
	}
	version, _ := client.Version(ctx) // only for a hint
	for i := range queues {
		d.ownQueuesInCluster(ctx, client, vhost, &queues[i], len(nodes))
		if found, err := client.Queue(ctx, vhost, queues[i].Name); err == nil && found != nil {
			judgeTakeover(&d.found, found, version)
		}
	}
}

// ownQueuesInCluster examines a queue, and its retry queues and parked queue if failed deliveries are kept there.
func (d *doctor) ownQueuesInCluster(ctx context.Context, client *management.Client, vhost string, own *settings.Queue, nodes int) {
	queues := []parley.Queue{{Name: own.Name}}
	if !d.s.Settings.FailuresInSQL() {
		queues = append(queues, parley.RetryTopology(own.Name, own.RetryDelays, nil).Queues...)
	}
	for _, q := range queues {
		found, err := client.Queue(ctx, vhost, q.Name)
		switch {
		case err != nil:
			d.warn(fmt.Sprintf("queue %q", q.Name), "cannot determine leader, members and policy: "+d.s.Settings.Redact(err).Error(), "")
		case found != nil:
			judgeQueue(&d.found, found, q.Role, nodes)
		}
	}
}

// brokerLogin returns user, password and virtual host of the settings.
func brokerLogin(s *settings.Settings) (user, password, vhost string) {
	b := &s.Broker
	text := b.URL
	if len(b.URLs) > 0 {
		text = b.URLs[0]
	}
	u, err := url.Parse(text.Reveal())
	if text == "" || err != nil {
		return cmp.Or(b.Username, "guest"), cmp.Or(b.Password.Reveal(), "guest"), cmp.Or(b.VirtualHost, "/")
	}
	password, _ = u.User.Password()
	return u.User.Username(), password, cmp.Or(strings.TrimPrefix(u.Path, "/"), "/")
}

// judgeNodes reports nodes that are down or in trouble.
func judgeNodes(found *parley.Findings, nodes []management.Node) {
	running := 0
	for _, n := range nodes {
		what := fmt.Sprintf("node %q", n.Name)
		switch {
		case !n.Running:
			found.Problem(what, "is down", "start it, or remove it with: rabbitmqctl forget_cluster_node")
			continue
		case len(n.Partitions) > 0:
			found.Problem(what, "has lost the connection to "+strings.Join(n.Partitions, ", "), "check the network between the nodes, then restart one side")
		case n.MemAlarm || n.DiskAlarm:
			found.Problem(what, "has a memory or disk alarm, so the cluster accepts no messages", "free memory or disk on that node")
		case n.Draining:
			found.Warn(what, "is in maintenance mode", "end it with: rabbitmq-upgrade revive")
		}
		running++
	}
	if running == len(nodes) {
		found.Fine("cluster", "%s, all running", plural(len(nodes), "node"))
	}
	if len(nodes) == 2 {
		found.Warn("cluster", "has 2 nodes: quorum queues stop when one of them is down", "use 3 nodes")
	}
}

// judgeLeaders warns if one node leads all quorum queues.
func judgeLeaders(found *parley.Findings, nodes []management.Node, queues []management.Queue) {
	leads := map[string]int{}
	quorum := 0
	for i := range queues {
		if queues[i].Type == "quorum" && queues[i].Leader != "" {
			leads[queues[i].Leader]++
			quorum++
		}
	}
	if len(nodes) < 2 || quorum < 3 {
		return
	}
	for node, n := range leads {
		if n == quorum {
			found.Warn("leaders", fmt.Sprintf("all %d quorum queues of the virtual host have their leader on %s, which does all their work", n, node), "spread them with: rabbitmq-queues rebalance quorum")
			return
		}
	}
	found.Fine("leaders", "%d quorum queues have their leaders on %d nodes", quorum, len(leads))
}

// judgeQueue reports what can lose or stop messages of a queue of this service.
func judgeQueue(found *parley.Findings, q *management.Queue, role parley.QueueRole, nodes int) {
	what := fmt.Sprintf("queue %q", q.Name)
	if q.Type == "quorum" {
		judgeQuorum(found, what, q, nodes)
	} else if nodes > 1 && q.Type == "classic" {
		found.Warn(what, fmt.Sprintf("is a classic queue on %s only: it is unreachable while that node is down", q.Node),
			"for a replicated queue, set broker.queue_type to quorum and declare a new queue: the type of a queue cannot be changed")
	}
	if (q.Argument("max-length") != nil || q.Argument("max-length-bytes") != nil) && !strings.HasPrefix(fmt.Sprint(q.Argument("overflow")), "reject-publish") {
		found.Problem(what, "drops its oldest messages when it is full (a length limit without overflow: reject-publish)", "add overflow: reject-publish to the policy or the arguments: events then wait in the outbox")
	}
	if role == parley.QueueRetry && (q.Type != "quorum" || q.Argument("dead-letter-strategy") != "at-least-once") {
		found.Problem(what, "can lose a retry when its target queue is full, deleted or unreachable: it has no dead-letter-strategy at-least-once",
			"wait until it is empty and delete it: the consumer declares it again; or give the consumer a database (consumer.failures.store)")
	}
	if role == parley.QueuePlain && q.Argument("message-ttl") != nil {
		found.Warn(what, fmt.Sprintf("deletes messages after %v ms (message-ttl)", q.Argument("message-ttl")), "remove it from the policy or the arguments, unless late messages are worthless")
	}
}

// judgeTakeover warns of a queue that keeps the deliveries of a lost node for the default of RabbitMQ 4.3, 60 s.
func judgeTakeover(found *parley.Findings, q *management.Queue, version string) {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major < 4 || major == 4 && minor < 3 {
		return // they give them back at once
	}
	if q.Type == "quorum" && len(q.Members) > 1 && q.Argument("consumer-disconnected-timeout") == nil {
		found.Warn(fmt.Sprintf("queue %q", q.Name), "after the loss of a node, the deliveries of its consumers are held for up to 60 s; with a single active consumer the whole queue waits",
			"declare a new queue: parley sets x-consumer-disconnected-timeout to 10 s; an existing queue cannot be changed")
	}
}

// lowLimit is a delivery limit that a few crashes of a consumer can reach.
const lowLimit = 10

func judgeQuorum(found *parley.Findings, what string, q *management.Queue, nodes int) {
	switch {
	case len(q.Online)*2 <= len(q.Members):
		found.Problem(what, fmt.Sprintf("has no majority: %d of %d members are online, so it accepts and delivers nothing", len(q.Online), len(q.Members)), "start the missing nodes")
	case len(q.Online) < len(q.Members):
		found.Warn(what, fmt.Sprintf("%d of %d members are online", len(q.Online), len(q.Members)), "start the missing nodes")
	case nodes >= 3 && len(q.Members) < 3:
		found.Warn(what, fmt.Sprintf("has %s in a cluster of %d nodes", plural(len(q.Members), "member"), nodes), "add members with: rabbitmq-queues grow NODE all")
	default:
		found.Fine(what, "quorum queue, leader on %s, %s", q.Leader, plural(len(q.Members), "member"))
	}
	limit, limited := q.Limit()
	switch {
	case !limited || q.Argument("dead-letter-exchange") != nil:
	case limit < lowLimit:
		found.Warn(what, fmt.Sprintf("the broker drops a message after %d redeliveries without an outcome", limit),
			"raise delivery-limit by a policy, to 100 or more: parley parks such a message itself (consumer.poison_limit); "+keepDropped)
	default:
		found.Fine(what, "delivery limit %d: %s", limit, keepDropped)
	}
}

// keepDropped is the cure where no consumer can help: a process that ends before it can move a message aside.
const keepDropped = "only a dead-letter exchange of the queue itself keeps a message of processes that end before parley can move it aside " +
	"(policy: dead-letter-exchange, dead-letter-strategy: at-least-once, overflow: reject-publish)"
