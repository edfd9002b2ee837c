package settings

import (
	"cmp"
	"strings"

	"github.com/parley-go/parley"
)

// TopologyMode returns the mode of the setting topology.
func (s *Settings) TopologyMode() parley.TopologyMode {
	switch s.Topology {
	case "verify":
		return parley.TopologyVerify
	case "none":
		return parley.TopologyNone
	}
	return parley.TopologyDeclare
}

// BrokerName returns the name of the broker for logs: its URL, its URLs or its host.
func (s *Settings) BrokerName() string {
	names := make([]string, 0, len(s.Broker.URLs))
	for _, u := range s.Broker.URLs {
		names = append(names, u.String())
	}
	return cmp.Or(s.Broker.URL.String(), strings.Join(names, ", "), s.Broker.Host)
}

// HasBroker reports whether the settings name a broker.
func (s *Settings) HasBroker() bool {
	return s.Broker.URL != "" || len(s.Broker.URLs) > 0 || s.Broker.Host != ""
}

// ConsumerTopology returns the exchanges, the queues that run and their bindings. Queues with the binding AutoBind have none: their
// bindings depend on handlers.
func (s *Settings) ConsumerTopology() parley.Topology {
	t := s.RelayTopology()
	for _, q := range s.RunQueues() {
		own := s.QueueTopology(&q)
		t.Queues, t.Bindings = append(t.Queues, own.Queues...), append(t.Bindings, own.Bindings...)
	}
	return t
}

// QueueTopology returns the exchanges, a queue and its bindings, as ConsumerTopology does for all queues.
func (s *Settings) QueueTopology(q *Queue) parley.Topology {
	t := s.RelayTopology()
	t.Queues = []parley.Queue{{Name: q.Name, Arguments: q.DeclareArguments()}}
	if q.BindsAuto() {
		return t
	}
	for _, b := range q.Binds {
		t.Bindings = append(t.Bindings, parley.Binding{Queue: q.Name, Exchange: b.Exchange, RoutingKey: b.RoutingKey})
	}
	return t
}

// RelayTopology returns the exchanges of the settings, without queues and bindings.
func (s *Settings) RelayTopology() parley.Topology {
	t := parley.Topology{Mode: s.TopologyMode()}
	for _, e := range s.Exchanges {
		t.Exchanges = append(t.Exchanges, parley.Exchange{Name: e.Name, Type: parley.ExchangeType(e.Type), Arguments: e.Arguments})
	}
	return t
}
