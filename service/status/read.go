package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// An Outbox is what a status needs of an outbox's database.
type Outbox interface {
	parley.OutboxSummarizer
	parley.LeaderInspector
}

// Failures is what a status needs of the table of failed deliveries. [parley.FailureOperator] has it.
type Failures interface {
	Consumers(ctx context.Context) ([]string, error)
	Stats(ctx context.Context, consumer string) (parley.FailureStats, error)
	Newest(ctx context.Context, limit int) ([]parley.FailureRow, error)
}

// A QueueCounter counts the messages and consumers of a queue. Brokers have it.
type QueueCounter interface {
	QueueLen(ctx context.Context, name string) (messages, consumers int, err error)
}

// A QueueName names a queue and its role: "queue", "retry" or "parked".
type QueueName struct{ Name, Role string }

// Sources are the places that a status is read from. Parts that are nil are left out.
type Sources struct {
	AppID string
	// Outbox is the outbox; Parallel says that its relays work in parallel, so that none leads.
	Outbox   Outbox
	Parallel bool
	// Failures is the table of failed deliveries. FailuresOptional says that a missing table is no problem.
	Failures         Failures
	FailuresOptional bool
	// Control has the pauses. A database without its table has none.
	Control parley.ControlStore
	// Consumers are the names of the service's own consumers.
	Consumers []string
	// Broker counts Queues.
	Broker QueueCounter
	Queues []QueueName
	// Process is the process itself, if it runs a relay or consumers.
	Process *Process
	// Redact returns an error without secrets. Default: unchanged.
	Redact func(error) error
}

// Read reads the status. A part that cannot be read becomes an entry of Unknown; Read waits for servers until ctx ends.
func Read(ctx context.Context, s *Sources) *Status {
	r := &reader{Sources: s, out: &Status{
		At: time.Now().UTC(), AppID: s.AppID, Queues: []Queue{}, Retries: []Retries{}, Parked: []Parked{}, Pauses: []Pause{}, Errors: []LastError{}, Unknown: []string{},
	}}
	var wg sync.WaitGroup
	var counted []Queue
	var brokerErr error
	wg.Go(func() { counted, brokerErr = r.queues(ctx) })
	r.outbox(ctx)
	r.failures(ctx)
	r.pauses(ctx)
	wg.Wait()
	r.addQueues(counted, brokerErr)
	if s.Process != nil {
		r.out.Process = s.Process.Ready(ctx)
	}
	slices.SortStableFunc(r.out.Errors, func(a, b LastError) int { return b.At.Compare(a.At) })
	r.out.Errors = r.out.Errors[:min(len(r.out.Errors), lastErrors)]
	r.out.Problems = problems(r.out)
	return r.out
}

// lastErrors is the number of errors that a status has.
const lastErrors = 5

type reader struct {
	*Sources
	out *Status
}

func (r *reader) unknown(part string, err error) {
	if r.Redact != nil {
		err = r.Redact(err)
	}
	r.out.Unknown = append(r.out.Unknown, part+": "+err.Error())
}

func (r *reader) outbox(ctx context.Context) {
	if r.Outbox == nil {
		return
	}
	sum, err := r.Outbox.Summary(ctx, Limit)
	if err != nil {
		r.unknown("outbox", err)
		return
	}
	count := func(n int64) Count { return Count{n, sum.Partial || n >= Limit} }
	r.out.Relay = &Relay{Lag: Seconds(sum.OldestDue), Due: count(sum.Due), Scheduled: count(sum.Scheduled), NeverDue: count(sum.NeverDue)}
	if sum.Due > 0 {
		at := r.out.At.Add(-sum.OldestDue).Truncate(time.Millisecond)
		r.out.Relay.OldestDue = &at
	}
	if sum.Parked > 0 {
		r.out.Parked = append(r.out.Parked, Parked{Place: "outbox", Count: CountOf(sum.Parked), Oldest: Seconds(sum.OldestParked)})
	}
	if p := sum.LastParked; p != nil {
		r.out.Errors = append(r.out.Errors, LastError{
			ID: fmt.Sprintf("o%d", p.ID), At: p.ParkedAt.UTC(), State: string(parley.FailureParked), Route: p.Exchange + "/" + p.RoutingKey, Error: short(p.Reason),
		})
	}
	r.leader(ctx)
}

func (r *reader) leader(ctx context.Context) {
	relay := r.out.Relay
	if r.Parallel {
		relay.LeaderNote = "none leads in parallel mode"
		return
	}
	leader, err := r.Outbox.Leader(ctx)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		relay.LeaderNote = "this database does not show it"
	case err != nil:
		relay.LeaderNote = "cannot determine"
		r.unknown("leader", err)
	case leader == nil:
		relay.LeaderNote = "none at this moment"
	default:
		relay.Leader = describe(leader)
	}
}

func describe(l *parley.RelayLeader) string {
	var parts []string
	if l.Session != 0 {
		parts = append(parts, fmt.Sprintf("session %d", l.Session))
	}
	for _, p := range []struct{ name, value string }{{"application", l.Application}, {"user", l.User}, {"host", l.Host}} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	if l.AtRest {
		return strings.Join(append(parts, "at rest"), ", ")
	}
	return strings.Join(append(parts, "working"), ", ")
}

func (r *reader) failures(ctx context.Context) {
	if r.Failures == nil {
		return
	}
	names, err := r.Failures.Consumers(ctx)
	for _, name := range names {
		var st parley.FailureStats
		if st, err = r.Failures.Stats(ctx, name); err != nil {
			break
		}
		if st.Waiting+st.Behind+st.Running > 0 {
			r.out.Retries = append(r.out.Retries, Retries{
				Consumer: name, Own: slices.Contains(r.Consumers, name), Waiting: CountOf(st.Waiting), Behind: CountOf(st.Behind),
				Running: CountOf(st.Running), Overdue: Seconds(st.OldestWaiting),
			})
		}
		if st.Parked > 0 {
			r.out.Parked = append(r.out.Parked, Parked{Place: "consumer", Name: name, Count: CountOf(st.Parked), Oldest: Seconds(st.OldestParked)})
		}
	}
	var newest []parley.FailureRow
	if err == nil && len(names) > 0 {
		newest, err = r.Failures.Newest(ctx, lastErrors)
	}
	if err != nil {
		if !r.FailuresOptional || ctx.Err() != nil {
			r.unknown("failed deliveries", err)
		}
		return
	}
	for i := range newest {
		row := &newest[i]
		r.out.Errors = append(r.out.Errors, LastError{
			ID: fmt.Sprintf("c%d", row.ID), At: latest(row.History.LastFailure, row.CreatedAt), State: string(row.State), Consumer: row.Consumer,
			Route: row.Message.Exchange + "/" + row.Message.RoutingKey, Error: short(cmp.Or(row.History.LastError, row.History.Reason)),
		})
	}
}

func (r *reader) pauses(ctx context.Context) {
	if r.Control == nil {
		return
	}
	list, err := r.Control.Pauses(ctx)
	if err != nil {
		if !errors.Is(err, parley.ErrControlNotReady) {
			r.unknown("pauses", err)
		}
		return
	}
	for i := range list {
		p := &list[i]
		r.out.Pauses = append(r.out.Pauses, Pause{What: p.String(), Until: p.Until.UTC(), By: p.By, Reason: p.Reason})
	}
	slices.SortStableFunc(r.out.Pauses, func(a, b Pause) int { return a.Until.Compare(b.Until) })
}

func latest(a, b time.Time) time.Time {
	if a.IsZero() {
		a = b
	}
	return a.UTC()
}

// errorLength is the most bytes of an error in a status.
const errorLength = 300

// short returns the first line of an error.
func short(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return parley.CleanText(text, errorLength)
}

// queues counts all queues, one after another. It ends at the first error that is not about one queue.
func (r *reader) queues(ctx context.Context) (out []Queue, err error) {
	if r.Broker == nil {
		return nil, nil
	}
	for _, q := range r.Queues {
		found := Queue{Name: q.Name, Role: q.Role}
		var err error
		found.Messages, found.Consumers, err = r.Broker.QueueLen(ctx, q.Name)
		if refused, ok := errors.AsType[*parley.TopologyError](err); ok && refused.Code == 404 {
			if found.Missing = true; q.Role != "queue" {
				continue // declared when the first message needs it
			}
		} else if err != nil {
			return out, fmt.Errorf("queue %q: %w", q.Name, err)
		}
		out = append(out, found)
	}
	return out, nil
}

func (r *reader) addQueues(counted []Queue, err error) {
	for _, q := range counted {
		if q.Role != "parked" {
			r.out.Queues = append(r.out.Queues, q)
		} else if q.Messages > 0 {
			r.out.Parked = append(r.out.Parked, Parked{Place: "queue", Name: q.Name, Count: Count{N: int64(q.Messages)}})
		}
	}
	if err != nil {
		r.unknown("broker", err)
	}
}
