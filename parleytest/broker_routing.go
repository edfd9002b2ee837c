package parleytest

import (
	"fmt"

	"github.com/parley-go/parley"
)

var routingPromises = []brokerPromise{
	{"TopicBindingsMatchWords", topicBindingsMatchWords},
	{"DirectBindingsMatchExactly", directBindingsMatchExactly},
	{"FanoutReachesEveryQueue", fanoutReachesEveryQueue},
	{"HeadersBindingsMatchAllOrAny", headersBindingsMatchAllOrAny},
	{"BindingsDefaultToEverything", bindingsDefaultToEverything},
	{"EmptyRoutingKeyWorks", emptyRoutingKeyWorks},
	{"QueueGetsOneCopyOfAMessage", queueGetsOneCopy},
	{"DefaultExchangeReachesTheQueue", defaultExchangeReachesTheQueue},
	{"TheAlternateExchangeGetsWhatNoQueueTakes", alternateExchange},
}

func topicBindingsMatchWords(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	keys := []string{"a", "b", "a.b", "a.b.c", "a.c", "b.a", "a.b.b.c", "a..c", ".", "A"}
	bindings := map[string][]string{
		"#":       {"a", "b", "a.b", "a.b.c", "a.c", "b.a", "a.b.b.c", "a..c", ".", "A"},
		"*":       {"a", "b", "A"},
		"a":       {"a"},
		"a.*":     {"a.b", "a.c"},
		"a.#":     {"a", "a.b", "a.b.c", "a.c", "a.b.b.c", "a..c"},
		"#.c":     {"a.b.c", "a.c", "a.b.b.c", "a..c"},
		"a.*.c":   {"a.b.c", "a..c"},
		"a.#.b.#": {"a.b", "a.b.c", "a.b.b.c"},
		"*.*":     {"a.b", "a.c", "b.a", "."},
		"#.#":     {"a", "b", "a.b", "a.b.c", "a.c", "b.a", "a.b.b.c", "a..c", ".", "A"},
		"a.b*":    nil,
	}
	queues := map[string]string{}
	for key := range bindings {
		queues[key] = b.bound(ex, key)
	}
	for _, key := range keys {
		b.publish(message(ex, key, key))
	}
	for key, want := range bindings {
		b.wantIDs(queues[key], fmt.Sprintf("binding key %q", key), want...)
	}
}

func directBindingsMatchExactly(b *brokerTest) {
	ex := b.exchange(parley.ExchangeDirect)
	plain, star, hash := b.bound(ex, "a.b"), b.bound(ex, "a.*"), b.bound(ex, "#")
	b.publish(message(ex, "a.b", "1"), message(ex, "a.*", "2"), message(ex, "#", "3"))
	b.wantIDs(plain, "bound with a.b", "1")
	b.wantIDs(star, "bound with a.*", "2")
	b.wantIDs(hash, "bound with #", "3")
}

func fanoutReachesEveryQueue(b *brokerTest) {
	ex := b.exchange(parley.ExchangeFanout)
	queues := []string{b.bound(ex, ""), b.bound(ex, "x"), b.bound(ex, "y.*")}
	b.publish(message(ex, "whatever", "1"), message(ex, "", "2"))
	for _, q := range queues {
		b.wantIDs(q, "bound to a fanout exchange", "1", "2")
	}
}

func headersBindingsMatchAllOrAny(b *brokerTest) {
	ex := b.exchange(parley.ExchangeHeaders)
	bind := func(arguments map[string]any) string {
		q := b.queue(parley.Queue{})
		b.declare(parley.Topology{Bindings: []parley.Binding{{Queue: q, Exchange: ex, Arguments: arguments}}})
		return q
	}
	both := bind(map[string]any{"x-match": "all", "color": "red", "size": "l"})
	either := bind(map[string]any{"x-match": "any", "color": "red", "size": "l"})
	rest := bind(map[string]any{"other": "1"})
	with := func(id string, headers map[string]any) parley.Message {
		m := message(ex, "ignored", id)
		m.Headers = headers
		return m
	}
	outcomes := b.broker.Publish(b.ctx, []parley.Message{
		with("both", map[string]any{"color": "red", "size": "l", "more": "1"}),
		with("one", map[string]any{"color": "red", "size": "m"}),
		with("none", map[string]any{"color": "blue"}),
		with("other", map[string]any{"other": "1"}),
	})
	b.wantOutcomes(outcomes, nil, nil, parley.ErrUnroutable, nil)
	b.wantIDs(both, "all", "both")
	b.wantIDs(either, "any", "both", "one")
	b.wantIDs(rest, "all by default", "other")
}

func bindingsDefaultToEverything(b *brokerTest) {
	ex := b.exchange("")
	q := b.bound(ex, "")
	b.publish(message(ex, "a", "1"), message(ex, "a.b.c", "2"), message(ex, "", "3"))
	b.wantIDs(q, "bound to a topic exchange without a key", "1", "2", "3")
}

func emptyRoutingKeyWorks(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	hash, star := b.bound(ex, "#"), b.bound(ex, "*")
	b.publish(message(ex, "", "1"))
	got := b.collect(hash)
	if len(got) != 1 || got[0].RoutingKey != "" || got[0].Exchange != ex {
		b.Errorf("a binding with the empty routing key delivered %v", got)
	}
	b.wantIDs(star, "* asks for one word")
}

func queueGetsOneCopy(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "a.#")
	bindings := []parley.Binding{{Queue: q, Exchange: ex, RoutingKey: "#.b"}, {Queue: q, Exchange: ex, RoutingKey: "a.#"}}
	b.declare(parley.Topology{Bindings: bindings})
	b.publish(message(ex, "a.b", "1"))
	b.wantIDs(q, "three bindings match", "1")
}

func defaultExchangeReachesTheQueue(b *brokerTest) {
	q, other := b.queue(parley.Queue{}), b.queue(parley.Queue{})
	b.publish(message("", q, "1"))
	got := b.collect(q)
	if len(got) != 1 || got[0].Exchange != "" || got[0].RoutingKey != q || got[0].Queue != q {
		b.Errorf("the default exchange delivered %v", got)
	}
	b.wantIDs(other, "of another name")
	outcomes := b.broker.Publish(b.ctx, []parley.Message{message("", unique("nowhere"), "2")})
	b.wantOutcomes(outcomes, parley.ErrUnroutable)
}

func alternateExchange(b *brokerTest) {
	lost := b.exchange(parley.ExchangeFanout)
	ex := parley.Exchange{Name: unique("exchange"), Arguments: map[string]any{"alternate-exchange": lost}}
	b.forget(ex.Name, deleter.DeleteExchange)
	taken, rest := b.queue(parley.Queue{}), b.queue(parley.Queue{})
	t := parley.Topology{Exchanges: []parley.Exchange{ex}, Bindings: []parley.Binding{
		{Queue: taken, Exchange: ex.Name, RoutingKey: "a"}, {Queue: rest, Exchange: lost},
	}}
	b.declare(t)
	b.declare(t) // the same arguments
	b.publish(message(ex.Name, "a", "1"), message(ex.Name, "b", "2"))
	b.wantIDs(taken, "bound by its routing key", "1")
	b.wantIDs(rest, "bound to the alternate exchange", "2")
	ex.Arguments = nil
	b.wantCode(b.broker.Declare(b.ctx, parley.Topology{Exchanges: []parley.Exchange{ex}}), 406, "an exchange declared again without its arguments")
}
