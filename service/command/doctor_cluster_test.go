package command

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/management"
	"github.com/parley-go/parley/service/internal/servicetest"
)

// judged returns findings as lines.
func judged(judge func(f *parley.Findings)) string {
	var found parley.Findings
	judge(&found)
	var b strings.Builder
	for _, f := range found {
		b.WriteString(string(f.Level) + " " + f.Name + ": " + f.Detail + " -> " + f.Hint + "\n")
	}
	return b.String()
}

func TestTheDoctorJudgesNodes(t *testing.T) {
	node := func(name string, change func(n *management.Node)) management.Node {
		n := management.Node{Name: name, Running: true}
		if change != nil {
			change(&n)
		}
		return n
	}
	for want, nodes := range map[string][]management.Node{
		"fine cluster: 3 nodes, all running":             {node("a", nil), node("b", nil), node("c", nil)},
		`problem node "b": is down`:                      {node("a", nil), node("b", func(n *management.Node) { n.Running = false }), node("c", nil)},
		`problem node "a": has a memory or disk alarm`:   {node("a", func(n *management.Node) { n.DiskAlarm = true })},
		`problem node "a": has lost the connection to b`: {node("a", func(n *management.Node) { n.Partitions = []string{"b"} })},
		`warning node "a": is in maintenance mode`:       {node("a", func(n *management.Node) { n.Draining = true })},
		"warning cluster: has 2 nodes":                   {node("a", nil), node("b", nil)},
	} {
		if got := judged(func(f *parley.Findings) { judgeNodes(f, nodes) }); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTheDoctorSeesAllLeadersOnOneNode(t *testing.T) {
	nodes := make([]management.Node, 3)
	queues := func(leaders ...string) (out []management.Queue) {
		for _, leader := range leaders {
			out = append(out, management.Queue{Type: "quorum", Leader: leader})
		}
		return append(out, management.Queue{Type: "classic", Node: "c"})
	}
	for want, all := range map[string][]management.Queue{
		"warning leaders: all 3 quorum queues of the virtual host have their leader on a": queues("a", "a", "a"),
		"fine leaders: 3 quorum queues have their leaders on 2 nodes":                     queues("a", "a", "b"),
	} {
		if got := judged(func(f *parley.Findings) { judgeLeaders(f, nodes, all) }); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := judged(func(f *parley.Findings) { judgeLeaders(f, nodes, queues("a", "a")) }); got != "" {
		t.Errorf("two queues prove nothing: %s", got)
	}
}

func TestTheDoctorJudgesQueuesOfACluster(t *testing.T) {
	three := []string{"a", "b", "c"}
	for _, tt := range []struct {
		want string
		q    management.Queue
		role parley.QueueRole
	}{
		{"fine queue \"q\": quorum queue, leader on a, 3 members", management.Queue{Type: "quorum", Leader: "a", Members: three, Online: three}, 0},
		{"2 of 3 members are online", management.Queue{Type: "quorum", Members: three, Online: three[:2]}, 0},
		{"problem queue \"q\": has no majority", management.Queue{Type: "quorum", Members: three, Online: three[:1]}, 0},
		{"has 1 member in a cluster of 3 nodes", management.Queue{Type: "quorum", Members: three[:1], Online: three[:1]}, 0},
		{"is a classic queue on b only", management.Queue{Type: "classic", Node: "b"}, 0},
		{"drops its oldest messages when it is full", management.Queue{Type: "classic", Policy: management.Group{"max-length": 5.0}}, 0},
		{"deletes messages after 5 ms", management.Queue{Type: "classic", Policy: management.Group{"message-ttl": 5.0}}, 0},
		{"the broker drops a message after 5 redeliveries", management.Queue{Type: "quorum", Members: three, Online: three, DeliveryLimit: 5.0}, 0},
		{"only a dead-letter exchange of the queue itself keeps a message", management.Queue{Type: "quorum", Members: three, Online: three, DeliveryLimit: 5.0}, 0},
		{"fine queue \"q\": delivery limit 20: only a dead-letter exchange", management.Queue{Type: "quorum", Members: three, Online: three, DeliveryLimit: 20.0}, 0},
		{"can lose a retry when its target queue is full", management.Queue{Type: "quorum", Members: three, Online: three}, parley.QueueRetry},
	} {
		tt.q.Name = "q"
		if got := judged(func(f *parley.Findings) { judgeQueue(f, &tt.q, tt.role, 3) }); !strings.Contains(got, tt.want) {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
	kept := management.Queue{Name: "q", Type: "quorum", Members: three, Online: three, DeliveryLimit: 5.0, Policy: management.Group{"dead-letter-exchange": "dropped"}}
	if got := judged(func(f *parley.Findings) { judgeQueue(f, &kept, 0, 3) }); strings.Contains(got, "dead-letter") || strings.Contains(got, "warning") {
		t.Errorf("a queue with a dead-letter exchange: %s", got)
	}
	safe := management.Queue{Name: "q", Type: "quorum", Members: three, Online: three, DeliveryLimit: 20.0, Arguments: management.Group{"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-message-ttl": 10.0}, Policy: management.Group{"max-length": 9.0}}
	if got := judged(func(f *parley.Findings) { judgeQueue(f, &safe, parley.QueueRetry, 3) }); strings.Contains(got, "problem") || strings.Contains(got, "warning") {
		t.Errorf("a safe retry queue: %s", got)
	}
}

func TestTheDoctorSeesQueuesThatHoldTheDeliveriesOfALostNode(t *testing.T) {
	members := []string{"a", "b", "c"}
	for _, tt := range []struct {
		version string
		q       management.Queue
		want    bool
	}{
		{"4.3.6", management.Queue{Type: "quorum", Members: members}, true},
		{"4.3.6", management.Queue{Type: "quorum", Members: members, Arguments: management.Group{"x-consumer-disconnected-timeout": 1.0}}, false},
		{"4.3.6", management.Queue{Type: "quorum", Members: members[:1]}, false},
		{"4.3.6", management.Queue{Type: "classic"}, false},
		{"4.2.1", management.Queue{Type: "quorum", Members: members}, false},
		{"", management.Queue{Type: "quorum", Members: members}, false},
	} {
		if got := judged(func(f *parley.Findings) { judgeTakeover(f, &tt.q, tt.version) }); (got != "") != tt.want {
			t.Errorf("%s %+v: %q, want a warning: %v", tt.version, tt.q, got, tt.want)
		}
	}
}

func TestTheDoctorReadsTheManagementAPI(t *testing.T) {
	const recorded = "../internal/management/testdata/"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := map[string]string{"/api/nodes": "nodes-one-down-4.3.6.json", "/api/queues/%2F": "queues-4.3.6.json", "/api/overview": "overview-4.3.6.json"}[r.URL.EscapedPath()]
		if strings.HasPrefix(r.URL.EscapedPath(), "/api/queues/%2F/") {
			name = "orders-one-down-4.3.6.json"
		}
		text, err := os.ReadFile(recorded + name)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text)
	}))
	defer api.Close()
	queue := testenv.Unique(t, "parley_cluster")
	servicetest.CleanUp(t, queue)
	flags := []string{"--broker-url=" + testenv.RabbitMQ(t), "--queue=" + queue, "--broker-queue-type=quorum"}
	wantText(t, mustCall(t, ExitOK, append([]string{"doctor"}, flags...)...), "cannot determine leaders, members, policies and delivery limits", "set broker.management_url")
	out := mustCall(t, ExitFailed, append([]string{"doctor", "--broker-management-url=" + api.URL}, flags...)...)
	wantText(t, out, `problem  node "st3@localhost": is down`, "2 of 3 members are online", "all 6 quorum queues of the virtual host have their leader on st1@localhost")
	api.Close()
	wantText(t, mustCall(t, ExitOK, append([]string{"doctor", "--broker-management-url=" + api.URL}, flags...)...), "cluster: cannot determine")
}

func TestTheDoctorDialsEachNode(t *testing.T) {
	url := testenv.RabbitMQ(t)
	out := mustCall(t, ExitFailed, "doctor", "--broker-urls="+url+",amqp://127.0.0.1:1/")
	wantText(t, out, "answers at", "problem  broker: connect to 127.0.0.1:1", "accepts and confirms messages")
}

func TestTheDoctorReportsAHandlerWithoutABinding(t *testing.T) {
	code, out, errs := callWith(t, unboundHandler, nil, "doctor", "--broker-url=memory:", "--queue=q", "--binds=user:other", "--exchanges=user")
	if code != ExitFailed {
		t.Fatal(code, errs)
	}
	wantText(t, out, `problem  handlers: the handler of exchange "user", routing key "renamed"`, `add {exchange: user, routing_key: "renamed"} to binds`)
	code, out, errs = callWith(t, unboundHandler, nil, "doctor", "--broker-url=memory:", "--queue=q", "--binds=auto", "--exchanges=user")
	if code != ExitOK {
		t.Fatal(code, errs)
	}
	wantText(t, out, "a binding of the settings matches each of 1")
	wantText(t, mustCall(t, ExitOK, "doctor", "--broker-url=memory:", "--queue=q", "--binds=auto"), "the bindings depend on the handlers")
}
