package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// A finding is one thing that the doctor has looked at.
type finding struct {
	Verdict string `json:"verdict"` // fine, warning or problem
	What    string `json:"what"`
	Text    string `json:"text"`
	Mend    string `json:"mend,omitempty"`
}

const (
	verdictFine    = "fine"
	verdictWarning = "warning"
	verdictProblem = "problem"
)

// A doctor looks at what the settings name.
type doctor struct {
	s       *Service
	found   []finding
	timeout time.Duration
}

func (d *doctor) fine(what, format string, args ...any) {
	d.found = append(d.found, finding{verdictFine, what, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(what, text, mend string) {
	d.found = append(d.found, finding{verdictWarning, what, text, mend})
}

func (d *doctor) problem(what, text, mend string) {
	d.found = append(d.found, finding{verdictProblem, what, text, mend})
}

// failed reports an error, without secrets.
func (d *doctor) failed(what string, err error, mend string) {
	d.problem(what, redacted(err, d.s.Settings.secrets()...).Error(), mend)
}

// examine looks at everything. One thing that fails does not hide the others.
func (d *doctor) examine(ctx context.Context) []finding {
	for _, w := range d.s.Settings.Warnings() {
		d.warn("settings", w, "")
	}
	d.step(ctx, d.database)
	d.step(ctx, d.broker)
	return d.found
}

func (d *doctor) step(ctx context.Context, look func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	look(ctx)
}

func (d *doctor) database(ctx context.Context) {
	scheme := d.s.Settings.Database.scheme()
	if d.s.db == nil {
		d.warn("database", "the settings name none", "without one there is no outbox: set database.url")
		return
	}
	if scheme == "memory" {
		d.warn("database", "memory: forgets everything when the process ends", "use sqlite: or a server in production")
		return
	}
	if err := d.s.db.ping(ctx); err != nil {
		d.failed("database", err, "does the server run, and are database.url and its password right?")
		return
	}
	d.fine("database", "%s answers", d.s.Settings.Database.URL)
	d.serverChecks(ctx, scheme)
	if d.tables(ctx) {
		d.outbox(ctx)
	}
}

// tables tells whether the tables are up to date.
func (d *doctor) tables(ctx context.Context) bool {
	list, err := d.s.db.migrations(ctx)
	if err != nil {
		d.failed("tables", err, "may this account read the catalogue?")
		return false
	}
	pending := 0
	for _, m := range list {
		if !m.Applied {
			pending++
		}
	}
	if pending > 0 {
		d.problem("tables", fmt.Sprintf("%d of %d migrations are not applied", pending, len(list)), "run the command migrate up, or set database.migrate")
		return false
	}
	d.fine("tables", "all %d migrations are applied", len(list))
	return true
}

func (d *doctor) outbox(ctx context.Context) {
	st, err := d.s.db.Stats(ctx)
	if err != nil {
		d.failed("outbox", err, "may this account read the tables?")
		return
	}
	d.fine("outbox", "%d due, %d scheduled, %d parked", st.Due, st.Scheduled, st.Parked)
	if st.OldestDue > 10*time.Second {
		d.problem("outbox", fmt.Sprintf("the oldest due event has waited for %v", st.OldestDue.Round(time.Second)), "is a relay running, and does it reach the broker?")
	}
	if st.NeverDue > 0 {
		d.problem("outbox", fmt.Sprintf("%d rows can never become due: they have no time", st.NeverDue), "delete them, or give them a time")
	}
	if st.Parked > 0 {
		d.warn("outbox", fmt.Sprintf("%d records are parked: the broker could never accept them", st.Parked), "see the command parked ls")
	}
	if d.s.Settings.Database.scheme() == "postgres" {
		d.outboxPostgres(ctx)
	}
}

func (d *doctor) broker(ctx context.Context) {
	switch {
	case d.s.broker == nil:
		d.warn("broker", "the settings name none", "set broker.url")
		return
	case isMemory(d.s.Settings.Broker.URL):
		d.warn("broker", "memory: lives within one process: nobody else hears what this service publishes", "use a server in production")
		return
	}
	if !d.brokerServer(ctx) {
		return
	}
	if err := d.s.Broker.Ready(ctx); err != nil {
		d.failed("broker", err, "the connection is open, but publishing is blocked: look for memory and disk alarms (rabbitmqctl status)")
	}
	d.declared(ctx)
}

// declared compares exchanges and queue with the settings. What exists is declared once
// more, which changes nothing, but tells of arguments that differ.
func (d *doctor) declared(ctx context.Context) {
	t := d.s.Settings.topology()
	for _, e := range t.Exchanges {
		d.object(ctx, fmt.Sprintf("exchange %q", e.Name), parley.Topology{Exchanges: []parley.Exchange{e}})
	}
	for _, q := range t.Queues {
		if d.object(ctx, fmt.Sprintf("queue %q", q.Name), parley.Topology{Queues: []parley.Queue{q}}) {
			d.queue(ctx, q.Name)
		}
	}
	if len(t.Queues) > 0 && len(t.Bindings) == 0 {
		d.warn("bindings", fmt.Sprintf("the settings bind queue %q to nothing", t.Queues[0].Name), "set binds, or bind it by other means")
	}
}

func (d *doctor) object(ctx context.Context, what string, t parley.Topology) (there bool) {
	t.Mode = parley.TopologyVerify
	err := d.s.Broker.Declare(ctx, t)
	if err == nil {
		t.Mode = parley.TopologyDeclare
		err = d.s.Broker.Declare(ctx, t)
		there = true
	}
	refused, ok := errors.AsType[*parley.TopologyError](err)
	switch {
	case err == nil:
		d.fine(what, "is as the settings want it")
	case ok && refused.Code == 404 && d.s.Settings.topologyMode() == parley.TopologyDeclare:
		d.warn(what, "does not exist yet", "the service declares it when it starts; or run the command topology apply")
	case ok && refused.Code == 404:
		d.problem(what, "does not exist, and the topology mode is "+d.s.Settings.Topology, "declare it, or set topology to declare")
	case ok && refused.Code == 406:
		d.warn(what, "exists with other arguments: "+refused.Reason, "if it is meant to be so, set topology to verify; a queue with a TTL, a length limit, or that is not durable loses messages")
	case ok && refused.Code == 403 && there:
		d.fine(what, "exists; this user may not declare it")
	default:
		d.failed(what, err, "")
	}
	return there
}

// queueLength is what package rabbitmq can tell of a queue.
type queueLength interface {
	QueueLen(ctx context.Context, name string) (messages, consumers int, err error)
}

func (d *doctor) queue(ctx context.Context, name string) {
	b, ok := d.s.Broker.(queueLength)
	if !ok {
		return
	}
	messages, consumers, err := b.QueueLen(ctx, name)
	switch {
	case err != nil:
		d.failed(fmt.Sprintf("queue %q", name), err, "")
	case consumers == 0 && messages > 0:
		d.problem(fmt.Sprintf("queue %q", name), fmt.Sprintf("%d messages wait, and nobody consumes", messages), "start the consumer")
	default:
		d.fine(fmt.Sprintf("queue %q", name), "%d messages, %d consumers", messages, consumers)
	}
	parked := parley.ParkedQueue(name)
	if messages, _, err := b.QueueLen(ctx, parked); err == nil && messages > 0 {
		d.warn(fmt.Sprintf("queue %q", parked), fmt.Sprintf("%d messages are parked: their handlers kept failing", messages), "see the command parked ls --consumer")
	}
}
