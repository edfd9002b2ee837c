package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/console"
	"github.com/parley-go/parley/service/status"
)

// traffic counts the messages of this process, for the graphs of the console.
type traffic struct{ published, handled, failed atomic.Int64 }

func (t *traffic) relayHooks() parley.RelayHooks {
	return parley.RelayHooks{Batch: func(b parley.BatchReport) { t.published.Add(int64(b.Accepted)) }}
}

func (t *traffic) consumerHooks() parley.ConsumerHooks {
	return parley.ConsumerHooks{Done: func(r parley.ConsumerReport) {
		switch r.Outcome {
		case parley.OutcomeHandled, parley.OutcomeIgnored, parley.OutcomeDuplicate, parley.OutcomeExpired:
			t.handled.Add(1)
		case parley.OutcomeRetried, parley.OutcomeParked:
			t.failed.Add(1)
		default: // no handler was called, or the delivery comes again
		}
	}}
}

// ConsoleSource returns the service as a source of a console, for programs that mount one in a mux of their own. The name is that of
// console.Source. Run serves a console by itself if console.address is set.
func (s *Service) ConsoleSource(name string) console.Source {
	src := console.Source{
		Name: name, Broker: s.Broker, Doctor: s.Doctor, Status: s.consoleStatus, Sample: s.consoleSample, Settings: s.consoleSettings,
		Redact: func(err error) error { return s.Settings.Redact(err) },
	}
	if s.Broker != nil {
		src.Topology = s.consoleTopology
	}
	if s.db != nil {
		src.ParkedRecords, src.Failures, src.Schedule = s.db, s.db.Failures(), console.ScheduleOf(s.db, s.db.inTx)
		// Stores have these from one version of the tables on.
		src.Outbox, _ = s.db.native().(parley.DueLister)
		src.Groups, _ = any(s.db.Failures()).(parley.FailureGrouper)
		src.Actions, _ = s.db.native().(parley.ActionLog)
		src.Control, _ = s.db.native().(parley.ControlStore)
	}
	if !s.Settings.FailuresInSQL() && s.Broker != nil {
		for _, q := range s.Settings.RunQueues() {
			src.ParkedQueues = append(src.ParkedQueues, console.ParkedQueue{Queue: q.Name, Consumer: q.ConsumerName, Secrets: s.Settings.ConsumerSecrets()})
		}
	}
	return src
}

// ConsoleServer returns a server of a console at console.address, with the accounts and the rights of the settings. Sources are this
// service, or those that the caller gives.
func (s *Service) ConsoleServer(sources ...console.Source) (*console.Server, error) {
	c := &s.Settings.Console
	o := console.Options{Prefix: c.Prefix, Write: c.Write, Logger: s.Logger}
	if c.PasswordFile != "" {
		f, err := os.Open(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("service: console.password_file: %w", err)
		}
		accounts, err := console.ReadPasswords(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("service: console.password_file: %w", err)
		}
		o.Authorize = accounts.Authorize
	}
	if len(sources) == 0 {
		sources = []console.Source{s.ConsoleSource(ConsoleName(s.Settings.AppID))}
	}
	page, err := console.New(sources, o)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	return &console.Server{Address: c.Address, Console: page, Listening: func(addr net.Addr) {
		s.Logger.Info("console: listening", "url", "http://"+addr.String()+c.Prefix+"/", "write", c.Write)
	}}, nil
}

// ConsoleName returns the name of a service in a console: its app_id with dashes in place of characters that a name cannot have.
func ConsoleName(appID string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, appID)
	return cmp.Or(strings.Trim(name[:min(len(name), 64)], "-_."), "service")
}

func (s *Service) consoleSettings() (out []console.Setting) {
	for _, shown := range s.Settings.Show() {
		out = append(out, console.Setting{Key: shown.Key, Value: fmt.Sprint(shown.Value), Source: shown.Source})
	}
	return out
}

func (s *Service) consoleSample(ctx context.Context) (console.Sample, error) {
	out := console.Sample{Published: -1, Handled: -1, Failed: -1}
	if p := s.process.Load(); p != nil {
		if p.Relay != nil {
			out.Published = s.traffic.published.Load()
		}
		if len(p.Consumers) > 0 {
			out.Handled, out.Failed = s.traffic.handled.Load(), s.traffic.failed.Load()
		}
	}
	if s.db == nil {
		return out, nil
	}
	sum, err := s.db.Summary(ctx, 1) // the lag needs no count
	out.Lag = sum.OldestDue
	if lister, ok := s.db.native().(parley.DueLister); ok && err == nil {
		out.Lags, err = s.lags(ctx, lister, &sum)
	}
	return out, err
}

// lagRecords is how many due records are read for the lag of the exchanges.
const lagRecords = 1000

// lags returns the lag of each exchange of the settings, and of those with a record among the first that are due.
func (s *Service) lags(ctx context.Context, lister parley.DueLister, sum *parley.OutboxSummary) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for _, e := range s.Settings.Exchanges {
		out[e.Name] = 0
	}
	if sum.Due == 0 {
		return out, nil
	}
	list, err := lister.Due(ctx, lagRecords)
	oldest := map[string]time.Time{}
	var first time.Time
	for i := range list {
		r := &list[i]
		at := r.DueAt
		if at.IsZero() { // due at once
			at = r.CreatedAt
		}
		if t, ok := oldest[r.Exchange]; !ok || at.Before(t) {
			oldest[r.Exchange] = at
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for exchange, at := range oldest { // by the clock of the database, as the lag of the outbox is
		out[exchange] = max(0, sum.OldestDue-at.Sub(first))
	}
	return out, err
}

// consoleStatus converts the status.
func (s *Service) consoleStatus(ctx context.Context) (*console.Status, error) {
	st := s.Status(ctx)
	count := func(c status.Count) console.Count { return console.Count{N: c.N, AtLeast: c.AtLeast} }
	out := &console.Status{At: st.At, Process: st.Process, Problems: st.Problems, Unknown: st.Unknown}
	if r := st.Relay; r != nil {
		out.Relay = &console.RelayStatus{Leader: cmp.Or(r.Leader, r.LeaderNote), Lag: time.Duration(r.Lag), Due: count(r.Due), Scheduled: count(r.Scheduled), NeverDue: count(r.NeverDue)}
	}
	for _, q := range st.Queues {
		out.Queues = append(out.Queues, console.QueueStatus{Name: q.Name, Role: q.Role, Messages: q.Messages, Consumers: q.Consumers, Missing: q.Missing})
	}
	for i := range st.Retries {
		r := &st.Retries[i]
		out.Retries = append(out.Retries, console.RetryStatus{Consumer: r.Consumer, Waiting: count(r.Waiting), Behind: count(r.Behind), Running: count(r.Running), Overdue: time.Duration(r.Overdue)})
	}
	for i := range st.Parked {
		p := &st.Parked[i]
		out.Parked = append(out.Parked, console.ParkedStatus{Place: p.Place, Name: p.Name, Count: count(p.Count), Oldest: time.Duration(p.Oldest)})
	}
	for _, p := range st.Pauses {
		out.Pauses = append(out.Pauses, console.PauseStatus{What: p.What, By: p.By, Reason: p.Reason, Until: p.Until})
	}
	for i := range st.Errors {
		e := &st.Errors[i]
		out.Errors = append(out.Errors, console.LastError{ID: e.ID, At: e.At, State: e.State, Consumer: e.Consumer, Route: e.Route, Text: e.Error})
	}
	return out, nil
}

// consoleTopology reads the depths of the queues, and lists the bindings of the settings and the handlers of this process.
func (s *Service) consoleTopology(ctx context.Context) (*console.Topology, error) {
	out := &console.Topology{}
	t := s.Settings.RelayTopology()
	for _, q := range s.Queues() {
		own := q.Topology()
		t.Bindings = append(t.Bindings, own.Bindings...)
		unbound := s.Unbound()
		for _, r := range q.Router.Routes() {
			route := console.Route{Queue: q.Name, Exchange: r.Exchange, Pattern: r.Pattern, Handler: r.Place}
			for i := range unbound {
				if u := &unbound[i]; u.Queue == q.Name && u.Exchange == r.Exchange && u.Pattern == r.Pattern && u.Place == r.Place {
					route.Problem = "not bound: " + u.Hint()
				}
			}
			out.Routes = append(out.Routes, route)
		}
	}
	out.Bindings = t.Bindings
	counter, ok := s.Broker.(status.QueueCounter)
	for _, q := range s.statusQueues() {
		state := console.QueueStatus{Name: q.Name, Role: q.Role}
		if ok {
			var err error
			state.Messages, state.Consumers, err = counter.QueueLen(ctx, q.Name)
			if refused, is := errors.AsType[*parley.TopologyError](err); is && refused.Code == 404 {
				if state.Missing = true; q.Role != "queue" {
					continue // declared when the first message needs it
				}
			} else if err != nil {
				out.Notes = append(out.Notes, fmt.Sprintf("The depth of queue %q cannot be read: %v", q.Name, s.Settings.Redact(err)))
				ok = false
			}
		}
		out.Queues = append(out.Queues, state)
	}
	return out, nil
}
