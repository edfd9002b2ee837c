package memory

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// An exchange routes messages to the queues that are bound to it.
type exchange struct {
	parley.Exchange
	bindings []binding
	cache    map[string][]*queue // by routing key; nil for headers exchanges
}

type binding struct {
	queue     *queue
	key       string
	words     []string
	arguments map[string]any
}

func newExchange(e parley.Exchange) *exchange {
	return &exchange{Exchange: e, cache: map[string][]*queue{}}
}

// route returns the queues that take m, each once.
func (e *exchange) route(m *parley.Message) []*queue {
	if e.Type == parley.Headers {
		return e.matching(func(b binding) bool { return matchHeaders(b.arguments, m.Headers) })
	}
	if queues, ok := e.cache[m.RoutingKey]; ok {
		return queues
	}
	words := strings.Split(m.RoutingKey, ".")
	queues := e.matching(func(b binding) bool {
		switch e.Type {
		case parley.Fanout:
			return true
		case parley.Direct:
			return b.key == m.RoutingKey
		}
		return matchTopic(b.words, words)
	})
	if len(e.cache) > 4096 {
		clear(e.cache)
	}
	e.cache[m.RoutingKey] = queues
	return queues
}

func (e *exchange) matching(match func(binding) bool) []*queue {
	var queues []*queue
	for _, b := range e.bindings {
		if match(b) && !slices.Contains(queues, b.queue) {
			queues = append(queues, b.queue)
		}
	}
	return queues
}

func (e *exchange) bind(q *queue, b parley.Binding) {
	key := b.RoutingKey
	if key == "" {
		key = "#"
	}
	clear(e.cache)
	for _, old := range e.bindings {
		if old.queue == q && old.key == key && reflect.DeepEqual(old.arguments, b.Arguments) {
			return
		}
	}
	e.bindings = append(e.bindings, binding{q, key, strings.Split(key, "."), maps.Clone(b.Arguments)})
}

func (e *exchange) unbind(q *queue) {
	clear(e.cache)
	e.bindings = slices.DeleteFunc(e.bindings, func(b binding) bool { return b.queue == q })
}

// matchTopic matches a routing key against a binding key of a topic exchange, both
// split at dots (AMQP 0-9-1, 3.1.3.3).
func matchTopic(pattern, key []string) bool {
	if len(pattern) == 0 {
		return len(key) == 0
	}
	if pattern[0] == "#" {
		for skip := 0; skip <= len(key); skip++ {
			if matchTopic(pattern[1:], key[skip:]) {
				return true
			}
		}
		return false
	}
	return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) && matchTopic(pattern[1:], key[1:])
}

// matchHeaders matches the headers of a message against the arguments of a binding
// to a headers exchange (AMQP 0-9-1, 3.1.3.4). x-match is "all" by default, or "any".
func matchHeaders(arguments, headers map[string]any) bool {
	matchAny := arguments["x-match"] == "any"
	for name, want := range arguments {
		if strings.HasPrefix(name, "x-") {
			continue
		}
		got, ok := headers[name]
		if equal := ok && (want == nil || reflect.DeepEqual(got, want)); equal == matchAny {
			return matchAny
		}
	}
	return !matchAny
}

// declare makes or checks a topology; the broker's mutex is held.
func (b *Broker) declare(t parley.Topology) error {
	verify := t.Mode == parley.TopologyVerify
	for _, e := range t.Exchanges {
		if err := b.declareExchange(e, verify); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		if err := b.declareQueue(q, verify); err != nil {
			return err
		}
	}
	if verify {
		return nil
	}
	for _, bind := range t.Bindings {
		ex, q := b.exchanges[bind.Exchange], b.queues[bind.Queue]
		if ex == nil {
			return missing("exchange", bind.Exchange)
		}
		if q == nil {
			return missing("queue", bind.Queue)
		}
		ex.bind(q, bind)
	}
	return nil
}

func (b *Broker) declareExchange(e parley.Exchange, verify bool) error {
	if e.Type == "" {
		e.Type = parley.Topic
	}
	old := b.exchanges[e.Name]
	switch {
	case old == nil && verify:
		return missing("exchange", e.Name)
	case old == nil:
		b.exchanges[e.Name] = newExchange(e)
	case !verify && old.Exchange != e:
		return conflict("exchange", e.Name, fmt.Sprintf("it is of type %q, not %q", old.Type, e.Type))
	}
	return nil
}

func (b *Broker) declareQueue(d parley.Queue, verify bool) error {
	old := b.queues[d.Name]
	switch {
	case old == nil && verify:
		return missing("queue", d.Name)
	case old == nil:
		b.queues[d.Name] = &queue{Queue: d, broker: b}
	case !verify && !reflect.DeepEqual(old.Queue, d):
		return conflict("queue", d.Name, "it has other arguments")
	}
	return nil
}

func missing(kind, name string) error {
	return &parley.TopologyError{Object: fmt.Sprintf("%s %q", kind, name), Code: 404, Reason: "no " + kind + " of this name"}
}

func conflict(kind, name, reason string) error {
	return &parley.TopologyError{Object: fmt.Sprintf("%s %q", kind, name), Code: 406, Reason: reason}
}
