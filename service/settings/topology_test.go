package settings

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAQuorumQueueIsDeclaredWithABalancedLeaderAndAClassicOneAsPythonDoes(t *testing.T) {
	s, err := load(t, threeQueues)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	for _, q := range s.ConsumerTopology().Queues {
		got[q.Name] = q.Arguments
	}
	want := map[string]map[string]any{
		"orders": {"x-queue-type": "quorum", "x-queue-leader-locator": "balanced", "x-consumer-disconnected-timeout": int64(10_000), "x-single-active-consumer": true},
		"mail":   nil,
		"audit":  {"x-queue-type": "quorum", "x-queue-leader-locator": "balanced", "x-consumer-disconnected-timeout": int64(10_000)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestBindingsThatDependOnHandlersAreNotInTheTopology(t *testing.T) {
	s := &Settings{Queues: []Queue{{Name: "auto", Binds: []Bind{AutoBind}}, {Name: "listed", Binds: []Bind{{"x", "a.b"}}}}, Exchanges: []Exchange{{Name: "x"}}}
	if s.HasBroker() {
		t.Error("no broker is named")
	}
	s.Broker.URLs = []URL{"amqp://a", "amqp://b"}
	if mistakes := s.complete(nil); len(mistakes) > 0 || !s.HasBroker() {
		t.Fatal(mistakes)
	}
	all := s.AllQueues()
	for i, bindings := range []int{0, 1} {
		topology := s.QueueTopology(&all[i])
		if len(topology.Bindings) != bindings || len(topology.Queues) != 1 || len(topology.Exchanges) != 1 {
			t.Errorf("queue %s: %+v, want %d bindings", all[i].Name, topology, bindings)
		}
		if auto := all[i].BindsAuto(); auto != (bindings == 0) || auto != IsAuto(all[i].Binds) {
			t.Errorf("queue %s: auto is %v", all[i].Name, auto)
		}
	}
	if args := (&Queue{Type: "quorum", Arguments: Arguments{"x-queue-leader-locator": "client-local"}}).DeclareArguments(); args["x-queue-leader-locator"] != "client-local" {
		t.Errorf("arguments %v: the user's do not win", args)
	}
}
