package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// queues decides between queue and queues, and checks the queues.
func (c *completion) queues() {
	s := c.s
	if len(s.Queue) > 255 {
		c.mistake("queue", "is longer than 255 bytes, the limit of AMQP", "")
	}
	if len(s.Queues) > 0 && !c.selectQueue() {
		return
	}
	if len(s.Binds) > 0 && s.Queue == "" {
		hint := "set queue"
		if len(s.Queues) > 0 {
			hint = "move binds below one of queues"
		}
		c.mistake("binds", "there is no queue to bind", hint)
	}
	if s.Consumer.Name != "" && len(s.Queues) > 1 {
		c.mistake("consumer.name", "names one consumer, but there are several queues", "set consumer_name below each of queues")
	}
	names := map[string]string{}
	for _, q := range s.AllQueues() {
		c.queue(&q)
		if other := names[q.ConsumerName]; other != "" {
			c.mistake("queues", fmt.Sprintf("queues %q and %q have the same consumer name %q", other, q.Name, q.ConsumerName), "give each a consumer_name of its own")
		}
		names[q.ConsumerName] = q.Name
	}
}

// selectQueue lets queue, as a variable or a flag, select one of queues. In a file, or in a program, both contradict each other. It reports
// whether there was no mistake.
func (c *completion) selectQueue() bool {
	s := c.s
	rank := c.rank("queue")
	switch {
	case s.Queue == "":
		return true
	case rank < 2 || rank < c.rank("queues"):
		return c.prefer("queue", "queues")
	case !slices.Contains(s.queueNames(), s.Queue):
		c.mistake("queue", fmt.Sprintf("%q is not one of queues", s.Queue), "use one of: "+strings.Join(s.queueNames(), ", "))
		return false
	}
	s.selected = s.Queue
	c.forget("queue")
	return true
}

func (s *Settings) queueNames() []string {
	var out []string
	for _, q := range s.Queues {
		out = append(out, q.Name)
	}
	return out
}

// option returns the setting that a mistake in an option of a queue is about, and the option's name in texts.
func (c *completion) option(q *Queue, name string) (key, prefix string) {
	if len(c.s.Queues) > 0 {
		return "queues", q.Name + "." + name + ": "
	}
	if name == "binds" {
		return name, ""
	}
	return "queue", ""
}

// queue checks one queue, with its defaults filled in.
func (c *completion) queue(q *Queue) {
	at := func(option, problem, hint string) {
		key, prefix := c.option(q, option)
		c.mistake(key, prefix+problem, hint)
	}
	if q.Name == "" || len(q.Name) > 255 {
		c.mistake("queues", fmt.Sprintf("the name %q has %d bytes", q.Name, len(q.Name)), "use 1 to 255 bytes")
	}
	if strings.HasPrefix(q.Name, "amq.") {
		c.mistake("queue", fmt.Sprintf("%q is a name of the broker: only the broker may declare it", q.Name), "use another name")
	}
	if len(q.ConsumerName) > 255 {
		at("consumer_name", "is longer than 255 bytes", "")
	}
	if len(c.s.Queues) > 0 && c.s.sources["queues"].text == "" { // made by a program
		c.queueValues(q, at)
	}
	c.queueArguments(q, at)
	c.queueBinds(q)
	c.patience(q)
}

// queueValues checks the values that Load has not decoded.
func (c *completion) queueValues(q *Queue, at func(option, problem, hint string)) {
	for i := range queueFields() {
		f := &queueFields()[i]
		v := f.value(q)
		var err error
		switch {
		case v.IsZero():
		case f.kind == kindInt || f.kind == kindDuration:
			err = f.bounds(v.Int())
		case f.kind == kindDurations:
			err = f.checkDurations(v.Interface().([]time.Duration))
		case f.enum != nil:
			err = f.decodeText(q, v.String())
		}
		if m, ok := errors.AsType[*hintedError](err); ok {
			at(f.key, m.problem, m.hint)
		}
	}
}

// queueArguments checks arguments that contradict each other, or the type of the queue.
func (c *completion) queueArguments(q *Queue, at func(option, problem, hint string)) {
	kind, given := q.Arguments["x-queue-type"]
	switch {
	case kind == "stream":
		at("arguments", "x-queue-type stream: streams are not supported", "bind a quorum queue to the same exchange")
		return
	case given && kind != q.Type:
		at("arguments", fmt.Sprintf("x-queue-type is %v, but the type of the queue is %s", kind, q.Type), "set type instead of the argument")
		return
	}
	key, prefix := c.option(q, "arguments")
	if q.Type == "quorum" {
		for _, name := range [...]string{"x-queue-mode", "x-max-priority", "x-queue-master-locator"} {
			if _, has := q.Arguments[name]; has {
				at("arguments", name+" is not supported by quorum queues", "leave it out, or set the type to classic")
			}
		}
		return
	}
	for _, name := range [...]string{"x-delivery-limit", "x-quorum-initial-group-size", "x-quorum-target-group-size"} {
		if _, has := q.Arguments[name]; has {
			c.warn(key, prefix+name+" has no effect on a classic queue (set the type to quorum)")
		}
	}
	if q.Arguments["x-dead-letter-strategy"] == "at-least-once" {
		at("arguments", "x-dead-letter-strategy at-least-once needs a quorum queue", "set the type to quorum")
	}
}

// queueBinds warns of exchanges that this service does not declare.
func (c *completion) queueBinds(q *Queue) {
	if q.BindsAuto() {
		return
	}
	declared := map[string]bool{}
	for _, e := range c.s.Exchanges {
		declared[e.Name] = true
	}
	key, prefix := c.option(q, "binds")
	for i, b := range q.Binds {
		if err := fieldByKey("binds").checkPair([2]string{b.Exchange, b.RoutingKey}); err != nil && len(c.s.Queues) > 0 {
			c.mistake(key, prefix+inItem(i, err).Error(), "")
			continue
		}
		if !declared[b.Exchange] && !strings.HasPrefix(b.Exchange, "amq.") && c.s.Topology == "declare" {
			c.warn(key, prefix+fmt.Sprintf("exchange %q is not listed in exchanges, so it must exist before this service starts", b.Exchange))
		}
	}
}

// consumerTimeout is the default of RabbitMQ: a delivery that is unacked for longer closes its channel.
const consumerTimeout = 30 * time.Minute

// patience warns of deliveries that can stay unacked for longer than the broker allows.
func (c *completion) patience(q *Queue) {
	limit := consumerTimeout
	if v, ok := q.Arguments["x-consumer-timeout"].(int64); ok {
		limit = time.Duration(v) * time.Millisecond
	}
	rounds := (q.Prefetch + q.Concurrency - 1) / max(q.Concurrency, 1)
	longest := time.Duration(rounds) * q.HandlerTimeout
	if c.failed["consumer.handler_timeout"] || c.failed["consumer.prefetch"] || c.failed["consumer.concurrency"] || c.s.Broker.URL.IsMemory() || longest < limit {
		return
	}
	c.warn("consumer.handler_timeout", fmt.Sprintf("queue %q: a delivery may stay unacked for %s (handler_timeout %s × prefetch %d / concurrency %d), but the broker closes the channel after %s (lower handler_timeout or prefetch, or raise the broker's consumer_timeout)",
		q.Name, shortDuration(longest), shortDuration(q.HandlerTimeout), q.Prefetch, q.Concurrency, shortDuration(limit)))
}
