package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQueuesKeepTheirOrderAndInheritTheConsumersSettings(t *testing.T) {
	s, err := load(t, threeQueues)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]any{}
	var order []string
	for _, q := range s.AllQueues() {
		order = append(order, q.Name)
		got[q.Name] = []any{q.Type, q.Concurrency, q.Prefetch, len(q.RetryDelays), q.PoisonLimit, q.Unhandled, q.ConsumerName, q.HandlerTimeout}
	}
	want := map[string][]any{
		"orders": {"quorum", 32, 64, 3, 20, "ack", "orders", 5 * time.Minute},
		"mail":   {"classic", 4, 16, 1, -1, "park", "mail", 5 * time.Minute},
		"audit":  {"quorum", 8, 32, 1, 20, "ack", "audit", 5 * time.Minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if diff := cmp.Diff([]string{"orders", "mail", "audit"}, order); diff != "" {
		t.Errorf("the queues are not in the order of the file: %s", diff)
	}
	if s.Database.MaxConnections != 0 {
		t.Errorf("%d connections without a database", s.Database.MaxConnections)
	}
}

func TestTheDatabaseHasAConnectionForEachHandlerOfAllQueues(t *testing.T) {
	s, err := load(t, threeQueues+"database: {url: 'postgres://h/d'}\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := 32 + 4 + 8 + spareConnections; s.Database.MaxConnections != want {
		t.Errorf("%d connections, want %d", s.Database.MaxConnections, want)
	}
	s, err = load(t, threeQueues+"database: {url: 'postgres://h/d', max_connections: 10}\n")
	if err != nil || !strings.Contains(strings.Join(s.Warnings(), "\n"), "10 connections for 44 handlers at once") {
		t.Errorf("%v, warnings %v, want one of 10 connections for 44 handlers", err, s.Warnings())
	}
}

func TestTheSettingQueueSelectsOneOfTheQueues(t *testing.T) {
	s, err := load(t, threeQueues, "PARLEY_QUEUE=mail")
	if err != nil {
		t.Fatal(err)
	}
	if run := s.RunQueues(); len(run) != 1 || run[0].Name != "mail" || len(s.AllQueues()) != 3 || s.ConsumerName() != "mail" {
		t.Errorf("run %v of %d queues, want mail of 3", run, len(s.AllQueues()))
	}
	for text, env := range map[string]string{
		`"sms" is not one of queues (use one of: orders, mail, audit)`: "PARLEY_QUEUE=sms",
	} {
		if _, err := load(t, threeQueues, env); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %s", env, err, text)
		}
	}
	if _, err := load(t, threeQueues+"queue: mail\n"); err == nil || !strings.Contains(err.Error(), "queue and queues are both given") {
		t.Errorf("both in the file: %v", err)
	}
}

func TestMistakesInQueuesNameTheQueueAndTheOption(t *testing.T) {
	for doc, want := range map[string]string{
		"queues: {a: {concurency: 3}}":                                      "a.concurency: unknown setting (did you mean concurrency?)",
		"queues: {a: {concurrency: 0}}":                                     "a.concurrency: must be at least 1",
		"queues: {a: {type: stream}}":                                       `a.type: "stream" is not known`,
		"queues: {a: {binds: [[x, y, z]]}}":                                 "a.binds: item 1: must be a name",
		"queues: {a: 5}":                                                    `queue "a" must be a group of settings, not a number`,
		"queues: {a: {arguments: {x-queue-type: stream}}}":                  "streams are not supported",
		"queues: {a: {arguments: {x-queue-type: quorum}}}":                  "but the type of the queue is classic (set type instead",
		"queues: {a: {type: quorum, arguments: {x-max-priority: 5}}}":       "x-max-priority is not supported by quorum queues",
		"queues: {a: {type: quorum, arguments: {x-queue-mode: lazy}}}":      "x-queue-mode is not supported by quorum queues",
		"queues: {a: {arguments: {x-dead-letter-strategy: at-least-once}}}": "needs a quorum queue",
		"queues: {a: {arguments: {x: [1]}}}":                                "argument x must be a text, a whole number, true or false, not a list",
		"queues: {a: {}, b: {consumer_name: a}}":                            `queues "a" and "b" have the same consumer name`,
		"queues: {a: {}, b: {}}\nconsumer: {name: c}":                       "names one consumer, but there are several queues (set consumer_name",
		"queues: {a: {}}\nbinds: [x]":                                       "there is no queue to bind (move binds below one of queues)",
		"queues: {amq.x: {}}":                                               "is a name of the broker",
		"exchanges: [{name: a, arguments: 5}]":                              "arguments must be a group",
	} {
		if _, err := load(t, doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", doc, err, want)
		}
	}
}

func TestADeliveryThatMayOutliveTheBrokersPatienceIsWarnedOf(t *testing.T) {
	for doc, want := range map[string]bool{
		"queue: q": false, // 4 rounds of 5 minutes
		"queue: q\nconsumer: {handler_timeout: 8m}":                                                  true,
		"queue: q\nconsumer: {prefetch: 300}":                                                        true,
		"queues: {q: {handler_timeout: 31m, prefetch: 1}}":                                           true,
		"queues: {q: {handler_timeout: 31m, prefetch: 1, arguments: {x-consumer-timeout: 3600000}}}": false,
		"queue: q\nbroker: {url: 'memory:'}\nconsumer: {handler_timeout: 8m}":                        false,
	} {
		s, err := load(t, doc)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(s.Warnings(), "\n"), "but the broker closes the channel after"); got != want {
			t.Errorf("%s: warned %v, want %v: %v", doc, got, want, s.Warnings())
		}
	}
}
