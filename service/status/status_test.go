package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/service/status"
)

// A broker counts queues. A queue that is not in the map does not exist.
type broker map[string][2]int

func (b broker) QueueLen(_ context.Context, name string) (messages, consumers int, err error) {
	n, ok := b[name]
	if !ok {
		return 0, 0, &parley.TopologyError{Code: 404}
	}
	return n[0], n[1], nil
}

type deadBroker struct{}

func (deadBroker) QueueLen(context.Context, string) (messages, consumers int, err error) {
	return 0, 0, errors.New("connection refused with s3cret")
}

// An outbox has the state of its fields.
type outbox struct {
	sum    parley.OutboxSummary
	leader *parley.RelayLeader
	err    error
}

func (o outbox) Summary(_ context.Context, limit int) (parley.OutboxSummary, error) {
	if limit != status.Limit {
		return o.sum, errors.New("counts without the limit")
	}
	return o.sum, nil
}

func (o outbox) Leader(context.Context) (*parley.RelayLeader, error) { return o.leader, o.err }

func stats(due, scheduled, parked int64, oldest time.Duration) parley.OutboxSummary {
	return parley.OutboxSummary{OutboxStats: parley.OutboxStats{Due: due, Scheduled: scheduled, Parked: parked, OldestDue: oldest}}
}

func TestAStatusOfAHealthyServiceHasNoProblems(t *testing.T) {
	store := memory.NewStore()
	got := status.Read(t.Context(), &status.Sources{
		AppID: "shop", Outbox: store, Failures: store.Failures(), Consumers: []string{"orders"},
		Broker: broker{"orders": {3, 2}}, Queues: []status.QueueName{{"orders", "queue"}, {"orders.retry.10s", "retry"}, {"orders.parked", "parked"}},
	})
	if len(got.Problems)+len(got.Unknown)+len(got.Errors)+len(got.Parked) > 0 || got.Relay == nil || got.Relay.LeaderNote == "" {
		t.Errorf("an empty outbox and a queue with consumers: %+v", got)
	}
	if len(got.Queues) != 1 || got.Queues[0] != (status.Queue{Name: "orders", Messages: 3, Consumers: 2, Role: "queue"}) {
		t.Errorf("queues are %+v, want orders only: the others do not exist yet", got.Queues)
	}
}

func TestAStatusNamesWhatNeedsAPerson(t *testing.T) {
	store := memory.NewStore()
	_, err := store.Failures().Keep(t.Context(), "orders", []parley.Failure{
		{Message: parley.Message{Exchange: "user", RoutingKey: "made"}, State: parley.FailureParked, History: parley.History{LastError: "no such\nuser", LastFailure: time.Now()}},
		{Message: parley.Message{Exchange: "user", RoutingKey: "made"}, State: parley.FailureWaiting, After: -2 * time.Minute, History: parley.History{LastError: "timeout"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := stats(status.Limit, 5, 1, time.Minute)
	sum.LastParked = &parley.ParkedRecord{ID: 7, ParkedAt: time.Now().Add(-time.Hour), Reason: "too large", Message: parley.Message{Exchange: "user", RoutingKey: "photo"}}
	got := status.Read(t.Context(), &status.Sources{
		Outbox: outbox{sum: sum, leader: &parley.RelayLeader{Session: 42, Application: "shop", AtRest: true}}, Failures: store.Failures(),
		Broker: broker{"orders": {3, 0}, "orders.parked": {4, 0}}, Queues: []status.QueueName{{"orders", "queue"}, {"orders.parked", "parked"}, {"mail", "queue"}},
	})
	for i, want := range []string{
		"events are due, the oldest for 1m0s", `queue "orders" has messages but no consumer`, `queue "mail" does not exist`,
		`retries of consumer "orders" are overdue, the oldest for 2m0s`, "parked messages: 6",
	} {
		if i >= len(got.Problems) || !strings.Contains(got.Problems[i], want) {
			t.Errorf("problem %d lacks %q: %q", i, want, got.Problems)
		}
	}
	if got.Relay.Due.String() != ">= 10000" || got.Relay.Leader != "session 42, application shop, at rest" {
		t.Errorf("relay is %+v", got.Relay)
	}
	var ids []string
	for _, e := range got.Errors {
		ids = append(ids, e.ID+" "+e.Error)
	}
	if want := "c2 timeout,c1 no such,o7 too large"; strings.Join(ids, ",") != want {
		t.Errorf("last errors are %q, want %s", ids, want)
	}
}

// A control has the pauses of its fields.
type control struct {
	parley.ControlStore
	list []parley.Pause
	err  error
}

func (c control) Pauses(context.Context) ([]parley.Pause, error) { return c.list, c.err }

func TestAStatusHasThePausesTheFirstToEndInFront(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	got := status.Read(t.Context(), &status.Sources{Control: control{list: []parley.Pause{
		{Part: parley.PauseConsumer, Queue: "mail", Until: at.Add(time.Hour)}, {Part: parley.PauseRelay, Exchange: "shop", Until: at, By: "ann", Reason: "ticket 7"},
	}}})
	want := status.Pause{What: "relay exchange shop", Until: at, By: "ann", Reason: "ticket 7"}
	if len(got.Pauses) != 2 || got.Pauses[0] != want || got.Pauses[1].What != "consumer queue mail" || len(got.Problems) > 0 {
		t.Errorf("the pauses are %+v", got.Pauses)
	}
	got = status.Read(t.Context(), &status.Sources{Control: control{err: parley.ErrControlNotReady}})
	if len(got.Unknown) > 0 {
		t.Errorf("a database without the table of pauses: %q is unknown, want nothing: nothing can be paused", got.Unknown)
	}
	if got = status.Read(t.Context(), &status.Sources{Control: control{err: errors.New("timeout")}}); len(got.Unknown) != 1 {
		t.Errorf("pauses that cannot be read: unknown is %q", got.Unknown)
	}
}

func TestAPartThatCannotBeReadDoesNotHideTheOthers(t *testing.T) {
	got := status.Read(t.Context(), &status.Sources{
		Outbox: outbox{sum: stats(1, 0, 0, 0), err: errors.ErrUnsupported}, Broker: deadBroker{}, Queues: []status.QueueName{{"orders", "queue"}},
		Redact: func(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "s3cret", "***")) },
	})
	if got.Relay == nil || got.Relay.Due.N != 1 || got.Relay.LeaderNote != "this database does not show it" {
		t.Errorf("relay is %+v", got.Relay)
	}
	if want := `broker: queue "orders": connection refused with ***`; len(got.Unknown) != 1 || got.Unknown[0] != want {
		t.Errorf("unknown is %q, want %s", got.Unknown, want)
	}
}

func TestTheJSONOfAStatusKeepsItsNames(t *testing.T) {
	text, err := json.Marshal(status.Read(t.Context(), &status.Sources{
		AppID: "shop", Outbox: outbox{sum: stats(1, 0, 0, 1500*time.Millisecond)}, Process: &status.Process{},
		Broker: broker{"orders": {3, 2}}, Queues: []status.QueueName{{"orders", "queue"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"app_id":"shop"`, `"lag_seconds":1.5`, `"oldest_due_at":"`, `"due":{"n":1,"at_least":false}`, `"never_due":{"n":0`,
		`"queues":[{"name":"orders","messages":3,"consumers":2,"role":"queue","missing":false}]`, `"retries":[]`, `"parked":[]`, `"pauses":[]`,
		`"last_errors":[]`, `"problems":[]`, `"unknown":[]`, `"process":{"process":"ok"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the JSON lacks %s:\n%s", want, text)
		}
	}
}

type part struct {
	relay      parley.RelayState
	subscribed bool
	health     error
}

func (p part) State() parley.RelayState     { return p.relay }
func (p part) Paused() (parley.Pause, bool) { return parley.Pause{}, false }
func (p part) Subscribed() bool             { return p.subscribed }
func (p part) Health() error                { return p.health }

func TestReadinessNamesThePartThatDoesNotWork(t *testing.T) {
	state := status.OK
	p := &status.Process{
		Relay: part{relay: parley.RelayStandby}, Consumers: []status.ConsumerOf{{"a", part{subscribed: true}}, {"b", part{}}},
		Database: func(context.Context) string { return state },
	}
	got := p.Ready(t.Context())
	want := map[string]string{"process": "ok", "relay": "ok", "consumer a": "ok", "consumer b": "not subscribed", "database": "ok"}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%s is %q, want %q", name, got[name], state)
		}
	}
	p = &status.Process{Relay: part{relay: parley.RelayStarting}, Consumers: []status.ConsumerOf{{"a", part{subscribed: true, health: errors.New("stuck")}}}}
	if got := p.Ready(t.Context()); got["relay"] != "starting" || !strings.HasPrefix(got["consumer"], "paused") {
		t.Errorf("a starting relay and a paused consumer: %v", got)
	}
	if !status.IsReady(status.OK) || !status.IsReady(status.Busy) || status.IsReady("unreachable") {
		t.Error("ok and busy are ready, anything else is not")
	}
}

func TestDurationsAreRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 300 * time.Microsecond: "1ms", 109638 * time.Microsecond: "110ms", 3*time.Second + 4*time.Millisecond: "3s", 2*time.Hour + 5*time.Minute: "2h5m0s",
	} {
		if got := status.Seconds(d).String(); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}

func TestACountAtTheLimitIsALowerBound(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 12: "12", status.Limit - 1: "9999", status.Limit: ">= 10000"} {
		if got := status.CountOf(n).String(); got != want {
			t.Errorf("%d counted up to the limit is %q, want %q", n, got, want)
		}
	}
	s := &status.Status{Parked: []status.Parked{{Count: status.CountOf(3)}, {Count: status.CountOf(status.Limit)}}}
	if got := s.ParkedInAll().String(); got != ">= 10003" {
		t.Errorf("parked in all %q, want the lower bound of the sum", got)
	}
}
