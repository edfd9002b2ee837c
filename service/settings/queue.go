package settings

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Queue is a queue of the service, with the consumer that handles its messages. Zero values mean the setting of the group consumer,
// except for Binds and Arguments.
type Queue struct {
	// Name is the name of the queue. In a settings file it is the key below queues.
	Name string
	// Binds are the bindings of the queue. AutoBind binds what the router handles.
	Binds []Bind `key:"binds" doc:"bindings of the queue: an exchange, or an exchange and a routing key (default #); auto binds what the handlers of the queue need"`
	// Type is classic or quorum. Default: broker.queue_type.
	Type string `key:"type" doc:"type of the queue: classic or quorum; default: broker.queue_type" enum:"classic,quorum"`
	// Arguments are the other arguments of the queue, such as x-single-active-consumer.
	Arguments Arguments `key:"arguments" doc:"arguments of the queue, such as {x-single-active-consumer: true}"`
	// ConsumerName is the name of the consumer in the table of failed deliveries and in the inbox. Default: the queue.
	ConsumerName     string          `key:"consumer_name" doc:"name of the consumer in the table of failed deliveries and in the inbox; default: the queue"`
	Concurrency      int             `key:"concurrency" doc:"deliveries of the queue handled at once; default: consumer.concurrency" min:"1"`
	Prefetch         int             `key:"prefetch" doc:"most unacked deliveries of the queue; default: 4 times concurrency, at most 300" min:"1" max:"65535"`
	ImmediateRetries []time.Duration `key:"immediate_retries" doc:"delays before the immediate retries, in this process; default: consumer.immediate_retries" min:"1ms" max:"1m"`
	RetryDelays      []time.Duration `key:"retry_delays" doc:"delays before the later retries, in whole seconds; default: consumer.retry_delays" min:"1s" max:"24h" unit:"1s"`
	HandlerTimeout   time.Duration   `key:"handler_timeout" doc:"how long an attempt may take before its context is cancelled; default: consumer.handler_timeout" min:"1ms"`
	MaxBytes         int             `key:"max_bytes" doc:"most bytes of message bodies of unacked deliveries; default: consumer.max_bytes" min:"1"`
	// PoisonLimit is consumer.poison_limit for this queue. A negative value turns the guard off; so does 0 in a file.
	PoisonLimit int    `key:"poison_limit" doc:"how often a message may be started without being settled before it is parked; 0 turns this off; default: consumer.poison_limit" min:"-1" zero:"off"`
	Unhandled   string `key:"unhandled" doc:"what happens to deliveries without a handler: ack or park; default: consumer.unhandled" enum:"ack,park"`
}

// queueFields lists the settings of a queue.
var queueFields = sync.OnceValue(func() []field {
	out := fieldsOf(reflect.TypeFor[Queue](), "", nil)
	for i := range out {
		out[i].inner = true
	}
	return out
})

// AllQueues returns the queues of the settings in their order, with defaults filled in: those of queues, or queue and binds.
func (s *Settings) AllQueues() []Queue {
	list := s.Queues
	if len(list) == 0 && s.Queue != "" {
		list = []Queue{{Name: s.Queue, Binds: s.Binds}}
	}
	out := make([]Queue, len(list))
	for i := range list {
		out[i] = s.withDefaults(list[i], len(list) == 1)
	}
	return out
}

// RunQueues returns the queues whose messages this process handles: all of them, or the one that --queue or PARLEY_QUEUE selects.
func (s *Settings) RunQueues() []Queue {
	all := s.AllQueues()
	if s.selected == "" {
		return all
	}
	return slices.DeleteFunc(all, func(q Queue) bool { return q.Name != s.selected })
}

// withDefaults fills in the defaults of one queue.
func (s *Settings) withDefaults(q Queue, only bool) Queue {
	c := &s.Consumer
	if q.ConsumerName == "" && only {
		q.ConsumerName = c.Name
	}
	q.ConsumerName = cmp.Or(q.ConsumerName, q.Name)
	q.Type = cmp.Or(q.Type, s.Broker.QueueType)
	if q.Prefetch == 0 && q.Concurrency == 0 {
		q.Prefetch = c.Prefetch
	}
	q.Concurrency = cmp.Or(q.Concurrency, c.Concurrency)
	q.Prefetch = cmp.Or(q.Prefetch, min(4*q.Concurrency, 300))
	if q.ImmediateRetries == nil {
		q.ImmediateRetries = c.ImmediateRetries
	}
	if q.RetryDelays == nil {
		q.RetryDelays = c.RetryDelays
	}
	q.HandlerTimeout = cmp.Or(q.HandlerTimeout, c.HandlerTimeout)
	q.MaxBytes = cmp.Or(q.MaxBytes, c.MaxBytes)
	q.PoisonLimit = cmp.Or(q.PoisonLimit, c.PoisonLimit, -1) // 0 in consumer.poison_limit turns the guard off
	q.Unhandled = cmp.Or(q.Unhandled, c.Unhandled)
	return q
}

// takeover is how long RabbitMQ 4.3 and later keep the deliveries of a consumer whose node is lost, in milliseconds. Its default, 60 s,
// would hold up the messages that the consumer had in hand, and with a single active consumer the whole queue.
const takeover = int64(10_000)

// DeclareArguments returns the arguments with which the queue is declared. A quorum queue gets a leader on a node that the broker
// chooses, because clients that all connect to one node would otherwise place all leaders there. It gives back the deliveries of a lost
// node after 10 s. Arguments of the settings win. Queues that exist without these two arguments are used as they are.
func (q *Queue) DeclareArguments() map[string]any {
	if q.Type != "quorum" {
		if len(q.Arguments) == 0 {
			return nil // the Python library declares queues without arguments
		}
		return q.Arguments
	}
	out := map[string]any{"x-queue-type": "quorum", "x-queue-leader-locator": "balanced", "x-consumer-disconnected-timeout": takeover}
	for name, value := range q.Arguments {
		out[name] = value
	}
	return out
}

// BindsAuto reports whether the bindings of the queue are those that its handlers need.
func (q *Queue) BindsAuto() bool { return IsAuto(q.Binds) }

// AutoBind stands for the bindings that the handlers of a queue need. In a file it is written as `binds: auto`.
var AutoBind = Bind{RoutingKey: "auto"}

// IsAuto reports whether binds is AutoBind.
func IsAuto(binds []Bind) bool { return len(binds) == 1 && binds[0] == AutoBind }

// given reports whether the settings file or the program sets an option of the queue.
func (f *field) given(q *Queue) bool { return !f.value(q).IsZero() }

// showQueues lists the options of each queue that are set.
func (s *Settings) showQueues(f *field) []Shown {
	from := cmp.Or(s.sources[f.key].text, "program")
	var out []Shown
	for i := range s.Queues {
		q := &s.Queues[i]
		prefix := f.key + "." + q.Name
		before := len(out)
		for j := range queueFields() {
			if option := &queueFields()[j]; option.given(q) {
				out = append(out, Shown{Key: prefix + "." + option.key, Value: option.shown(q), Source: from})
			}
		}
		if len(out) == before {
			out = append(out, Shown{Key: prefix, Value: strings.Join(nil, ""), Source: from})
		}
	}
	return out
}

func queueSchema() object {
	properties := object{}
	for i := range queueFields() {
		f := &queueFields()[i]
		properties[f.key] = f.schema()
	}
	return object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}
