//go:build unix

package faulttests_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// A cluster is three private RabbitMQ nodes. Each node reaches each other node through a proxy, and clients reach each node
// through another one, so that every link can be cut.
type cluster struct {
	t     *testing.T
	nodes []*clusterNode
	links map[[2]int]*faultproxy.Proxy // from a node to another one
}

type clusterNode struct {
	*server
	client   *faultproxy.Proxy
	distPort int
}

const clusterSize = 3

// newCluster starts a cluster. Nodes without a majority stop serving (pause_minority), and notice a silent link after 10 s.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, links: map[[2]int]*faultproxy.Proxy{}}
	for i := range clusterSize {
		n := &clusterNode{server: newServer(t, "RabbitMQ "+strconv.Itoa(i+1), "rabbitmq"), distPort: freePort(t)}
		n.client = faultproxy.Start(t, "127.0.0.1:"+strconv.Itoa(n.port))
		c.nodes = append(c.nodes, n)
	}
	for from := range c.nodes {
		for to, n := range c.nodes {
			if from != to {
				c.links[[2]int{from, to}] = faultproxy.Start(t, "127.0.0.1:"+strconv.Itoa(n.distPort))
			}
		}
	}
	for i := range c.nodes {
		c.configure(i)
	}
	var starting sync.WaitGroup
	for _, n := range c.nodes {
		t.Cleanup(n.end)
		starting.Go(n.start)
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	c.complete()
	return c
}

// configure writes the files of a node and sets its environment. The nodes find each other at their first start.
func (c *cluster) configure(i int) {
	c.t.Helper()
	n := c.nodes[i]
	conf := "default_user = faults\ndefault_pass = " + canary + "\ncluster_partition_handling = pause_minority\nnet_ticktime = 10\n" +
		"cluster_formation.peer_discovery_backend = classic_config\nvm_memory_high_watermark.absolute = 2GB\ndisk_free_limit.absolute = 50MB\n"
	for j, other := range c.nodes {
		conf += fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s\n", j+1, other.node())
	}
	n.write("rabbitmq.conf", conf)
	n.write(".erlang.cookie", "PARLEYFAULTSCLUSTER")
	cookie := n.file(".erlang.cookie")
	if err := os.Chmod(cookie, 0o400); err != nil {
		c.t.Fatal(err)
	}
	if n.as != nil {
		if err := os.Chown(cookie, int(n.as.Uid), int(n.as.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
	mapper := startEPMD(c.t, func(name string) int { return c.route(i, name) })
	n.command = []string{executable(c.t, "/usr/lib/rabbitmq/bin/rabbitmq-server")}
	n.env = []string{
		"HOME=" + n.dir, "LC_ALL=C.UTF-8", "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + strconv.Itoa(mapper.port()), "ERL_FLAGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none", "RABBITMQ_CTL_ERL_ARGS=+S 1:1 +sbwt none",
		"RUNNING_UNDER_SYSTEMD=true", // the script execs the node, so there is one pid
		"RABBITMQ_NODENAME=" + n.node(), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + strconv.Itoa(n.port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(n.distPort), "RABBITMQ_MNESIA_BASE=" + filepath.Join(n.dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(n.dir, "log"), "RABBITMQ_PID_FILE=" + filepath.Join(n.dir, "pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(n.dir, "enabled_plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(n.dir, "none"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(n.dir, "rabbitmq.conf"),
	}
	n.url = fmt.Sprintf("amqp://faults:%s@127.0.0.1:%d/", canary, n.port)
	n.login = amqpLogin
}

// route returns the port at which node i reaches the node called name, without its host.
func (c *cluster) route(i int, name string) int {
	for j, n := range c.nodes {
		short, _, _ := strings.Cut(n.node(), "@")
		if short != name || i == j {
			continue
		}
		_, port, _ := strings.Cut(c.links[[2]int{i, j}].Addr(), ":")
		number, _ := strconv.Atoi(port)
		return number
	}
	return 0
}

// urls returns the addresses of all nodes for clients, separated by commas.
func (c *cluster) urls() string {
	out := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = fmt.Sprintf("amqp://faults:%s@%s/", canary, n.client.Addr())
	}
	return strings.Join(out, ",")
}

// complete waits until each node sees all nodes.
func (c *cluster) complete() {
	c.t.Helper()
	for _, n := range c.nodes {
		eventually(c.t, n.name+" sees all nodes", func() bool {
			out, err := n.try("eval", "length(rabbit_nodes:list_running()).")
			return err == nil && strings.TrimSpace(out) == strconv.Itoa(clusterSize)
		})
	}
}

// leader returns the node that leads a quorum queue.
func (c *cluster) leader(queue string) (found *clusterNode) {
	c.t.Helper()
	eventually(c.t, "queue "+queue+" has a leader", func() bool {
		out, err := c.ask(queue, "element(2, amqqueue:get_pid(Q))")
		for _, n := range c.nodes {
			if err == nil && strings.Contains(out, n.node()) {
				found = n
			}
		}
		return found != nil
	})
	return found
}

// ask evaluates an Erlang expression about a queue Q on a node.
func (c *cluster) ask(queue, expression string) (string, error) {
	return c.nodes[0].try("eval", fmt.Sprintf("{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>)), %s.", queue, expression))
}

// cut makes the links between two nodes black holes, in both directions.
func (c *cluster) cut(a, b *clusterNode) {
	for pair, link := range c.links {
		if one, other := c.nodes[pair[0]], c.nodes[pair[1]]; one == a && other == b || one == b && other == a {
			link.Blackhole()
		}
	}
}

// cutOff cuts a node off from all other nodes.
func (c *cluster) cutOff(n *clusterNode) {
	for _, other := range c.nodes {
		c.cut(n, other)
	}
}

// heal repairs all links. What was held in them is forwarded late.
func (c *cluster) heal() {
	for _, link := range c.links {
		link.Heal()
	}
	for _, n := range c.nodes {
		n.client.Heal()
	}
}

func TestARouteOfAClusterLeadsThroughTheProxyOfThatPairOfNodes(t *testing.T) {
	c := &cluster{t: t, links: map[[2]int]*faultproxy.Proxy{}}
	for port := range clusterSize {
		c.nodes = append(c.nodes, &clusterNode{server: &server{t: t, port: port}})
	}
	for from := range clusterSize {
		for to := range clusterSize {
			c.links[[2]int{from, to}] = faultproxy.Start(t, "127.0.0.1:1")
		}
	}
	short, _, _ := strings.Cut(c.nodes[2].node(), "@")
	if got, want := fmt.Sprintf("127.0.0.1:%d", c.route(0, short)), c.links[[2]int{0, 2}].Addr(); got != want {
		t.Errorf("node 1 reaches node 3 at %s, want %s", got, want)
	}
	if c.route(2, short) != 0 || c.route(0, "unknown") != 0 {
		t.Error("a node reaches itself or an unknown node through a proxy")
	}
}
