package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// A finding is a parley.Finding in JSON.
type finding struct {
	Verdict parley.FindingLevel `json:"verdict"` // fine, warning or problem
	What    string              `json:"what"`
	Text    string              `json:"text"`
	Hint    string              `json:"hint,omitempty"`
}

// A doctor examines database and broker of a service.
type doctor struct {
	s       *service.Service
	found   parley.Findings
	timeout time.Duration

	closed error // why the database cannot be opened, or nil

	hasHandlers bool  // the binary registers handlers
	registered  error // why registering them failed
}

func (d *doctor) fine(what, format string, args ...any) { d.found.Fine(what, format, args...) }
func (d *doctor) warn(what, text, hint string)          { d.found.Warn(what, text, hint) }
func (d *doctor) problem(what, text, hint string)       { d.found.Problem(what, text, hint) }

// failed reports an error, without secrets.
func (d *doctor) failed(what string, err error, hint string) {
	d.problem(what, d.s.Settings.Redact(err).Error(), hint)
}

// ask adds the findings of a driver, without secrets. It reports whether the server answers, which means that one finding is fine.
func (d *doctor) ask(ctx context.Context, server parley.Diagnoser) (answers bool) {
	for _, f := range server.Diagnose(ctx) {
		f.Detail = d.s.Settings.Redact(errors.New(f.Detail)).Error()
		answers = answers || f.Level == parley.FindingFine
		d.found = append(d.found, f)
	}
	return answers
}

// inSQL reports whether the settings keep failed deliveries in the database.
func (d *doctor) inSQL() bool { return d.closed != nil || d.s.Settings.FailuresInSQL() }

// undetermined reports an error of a question. A missing privilege is only a warning, because a role with the least privileges has
// no need to know everything.
func (d *doctor) undetermined(what, question string, err error, hint string) {
	if !denied(err) {
		d.failed(what, err, "")
		return
	}
	d.warn(what, fmt.Sprintf("cannot determine %s: %s", question, d.s.Settings.Redact(err)), hint)
}

// denied reports whether the database denied a statement for lack of a privilege.
func denied(err error) bool {
	var e interface{ SQLState() string } // of PostgreSQL's drivers
	if errors.As(err, &e) {
		return e.SQLState() == "42501"
	}
	text := err.Error()
	return strings.Contains(text, "Error 1142 ") || strings.Contains(text, "Error 1143 ") || strings.Contains(text, "Error 1044 ")
}

// examine examines database and broker. A failing step does not prevent the others.
func (d *doctor) examine(ctx context.Context) []parley.Finding {
	for _, w := range d.s.Settings.Warnings() {
		d.warn("settings", w, "")
	}
	d.handlers()
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
	if d.closed != nil {
		d.failed("database", d.closed, "")
		return
	}
	scheme := d.s.Settings.Database.Scheme()
	if d.s.Database() == nil {
		d.warn("database", "not configured, so there is no outbox", "set database.url")
		return
	}
	if scheme == "memory" {
		d.warn("database", "memory: loses everything when the process ends", "in production, use sqlite: or a server")
		return
	}
	if err := d.s.Database().Ping(ctx); err != nil && !errors.Is(err, service.ErrReadOnly) { // the driver reports the latter
		d.failed("database", err, "is the server running, and are database.url and the password right?")
		return
	}
	d.fine("database", "%s answers", d.s.Settings.Database.URL)
	d.ask(ctx, d.s.Database())
	if d.tables(ctx) {
		d.outbox(ctx)
	}
	d.failures(ctx)
}

// tables reports whether all migrations are applied.
func (d *doctor) tables(ctx context.Context) bool {
	list, err := d.s.Database().Migrations(ctx)
	if err != nil {
		d.undetermined("tables", "which migrations are applied", err, "to let this account see it: GRANT SELECT ON parley_migrations")
		return true
	}
	pending := 0
	for _, m := range list {
		if !m.Applied {
			pending++
		}
	}
	if pending == len(list) && d.s.Settings.Database.Table != "" {
		d.fine("tables", "parley's own tables do not exist; a relay of a Django service does not need them")
		return true
	}
	if pending > 0 {
		d.problem("tables", fmt.Sprintf("%d of %d migrations are not applied", pending, len(list)), "run: migrate up; or set database.migrate")
		return false
	}
	d.fine("tables", "all %d migrations are applied", len(list))
	return true
}

func (d *doctor) outbox(ctx context.Context) {
	st, err := d.s.Database().Stats(ctx)
	if err != nil {
		d.undetermined("outbox", "the state of the outbox", err, "to let this account see it: GRANT SELECT ON parley_outbox, parley_parked")
		return
	}
	if u := d.s.Settings.Relay.Unroutable; u == "default" || u == "drop" {
		d.fine("unroutable events", "are dropped, counted and logged (relay.unroutable: %s); set park to keep them until a queue is bound", u)
	}
	d.fine("outbox", "%d due, %d scheduled, %d parked", st.Due, st.Scheduled, st.Parked)
	if st.OldestDue > 10*time.Second {
		d.problem("outbox", fmt.Sprintf("the oldest due event has waited for %v", st.OldestDue.Round(time.Second)), "is a relay running, and can it reach the broker?")
	}
	if st.NeverDue > 0 {
		d.problem("outbox", counted(st.NeverDue, "row can never become due: it has no due time", "rows can never become due: they have no due time"), "delete them, or set their due time")
	}
	if st.Parked > 0 {
		d.warn("outbox", counted(st.Parked, "record of the outbox is parked: no queue was bound, or the broker refused it", "records of the outbox are parked: no queue was bound, or the broker refused them"), "see the reasons with: parked ls")
	}
	d.locks(ctx)
}

func (d *doctor) broker(ctx context.Context) {
	switch {
	case d.s.Broker == nil:
		d.warn("broker", "not configured", "set broker.url")
		return
	case d.s.Settings.Broker.URL.IsMemory():
		d.warn("broker", "memory: is in-process only: no other process receives the messages of this service", "in production, use a server")
		return
	}
	if server, ok := d.s.Broker.(parley.Diagnoser); ok && !d.ask(ctx, server) {
		return
	}
	if err := d.s.Broker.Ready(ctx); err != nil {
		d.failed("broker", err, "the connection is open, but publishing is blocked: check memory and disk alarms (rabbitmqctl status)")
	}
	d.declared(ctx)
	d.cluster(ctx)
}
