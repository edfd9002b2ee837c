package memory

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/topic"
)

// cacheLimit bounds the routing keys that an exchange caches, because keys come from users.
const cacheLimit = 4096

// An exchange routes messages to the queues that are bound to it. The broker's mutex guards it.
type exchange struct {
	parley.Exchange
	bindings []binding
	cache    map[string][]*queue // by routing key; unused on headers exchanges
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

// route returns the queues that m is routed to, each once.
func (e *exchange) route(m *parley.Message) []*queue {
	if e.Type == parley.ExchangeHeaders {
		return e.matching(func(b *binding) bool { return matchHeaders(b.arguments, m.Headers) })
	}
	if queues, ok := e.cache[m.RoutingKey]; ok {
		return queues
	}
	words := topic.Words(m.RoutingKey)
	queues := e.matching(func(b *binding) bool {
		switch e.Type {
		case parley.ExchangeFanout:
			return true
		case parley.ExchangeDirect:
			return b.key == m.RoutingKey
		}
		return topic.Match(b.words, words)
	})
	if len(e.cache) >= cacheLimit {
		clear(e.cache)
	}
	e.cache[m.RoutingKey] = queues
	return queues
}

func (e *exchange) matching(match func(*binding) bool) []*queue {
	var queues []*queue
	for i := range e.bindings {
		b := &e.bindings[i]
		if !slices.Contains(queues, b.queue) && match(b) {
			queues = append(queues, b.queue)
		}
	}
	return queues
}

// bind adds a binding; a duplicate changes nothing.
func (e *exchange) bind(q *queue, b parley.Binding) {
	key := b.RoutingKey
	if key == "" {
		key = "#"
	}
	for _, old := range e.bindings {
		if old.queue == q && old.key == key && sameArguments(old.arguments, b.Arguments) {
			return
		}
	}
	clear(e.cache)
	e.bindings = append(e.bindings, binding{q, key, topic.Words(key), maps.Clone(b.Arguments)})
}

// unbind removes all bindings of q and reports whether there were any.
func (e *exchange) unbind(q *queue) bool {
	before := len(e.bindings)
	e.bindings = slices.DeleteFunc(e.bindings, func(b binding) bool { return b.queue == q })
	clear(e.cache)
	return len(e.bindings) < before
}

// matchHeaders matches the headers of a message against the arguments of a binding
// to a headers exchange (AMQP 0-9-1, 3.1.3.4). x-match is "all" by default, or "any".
// Other arguments that start with x- are ignored; nil only requires that the header is present.
func matchHeaders(arguments, headers map[string]any) bool {
	matchAny := arguments["x-match"] == "any"
	for name, want := range arguments {
		if strings.HasPrefix(name, "x-") {
			continue
		}
		got, ok := headers[name]
		if equal := ok && (want == nil || sameValue(got, want)); equal == matchAny {
			return matchAny
		}
	}
	return !matchAny
}

func sameArguments(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || sameValue(a, b)
}

// sameValue compares like the broker, which treats integers of all sizes alike.
func sameValue(a, b any) bool { return reflect.DeepEqual(wireValue(a), wireValue(b)) }

func wireValue(value any) any {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(v.Uint())
	case reflect.Map:
		m, ok := value.(map[string]any)
		if !ok {
			return value
		}
		same := make(map[string]any, len(m))
		for name, item := range m {
			same[name] = wireValue(item)
		}
		return same
	}
	return value
}
