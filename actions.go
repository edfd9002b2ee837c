package parley

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Actor is the person or program that changes failed deliveries, parked records or pauses. Put it into the context with
// [WithActor]: stores then write the action to their action log.
type Actor struct {
	// Name is the user, Host the machine. Reason is a text of the user's. All may be empty.
	Name, Host, Reason string
	// Entry is the id of the log entry that counts the action, as LogAction returned it. With 0 each call writes an entry of its own.
	Entry int64
}

type actorKey struct{}

// WithActor returns a context whose changes are logged as those of a. Without an actor a store changes rows without an entry: a
// program's own replays are not the actions of an operator.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns the actor of a context. ok is false if it has none.
func ActorOf(ctx context.Context) (a Actor, ok bool) {
	a, ok = ctx.Value(actorKey{}).(Actor)
	return a, ok
}

// The names of actions in the log.
const (
	ActionReplay       = "replay"        // failed deliveries
	ActionDrop         = "drop"          // failed deliveries
	ActionEdit         = "edit"          // one failed delivery
	ActionMove         = "move"          // failed deliveries, to another consumer
	ActionReplayRecord = "replay-record" // parked records of the outbox
	ActionDropRecord   = "drop-record"   // parked records of the outbox
	ActionEditRecord   = "edit-record"   // one parked record of the outbox
	ActionPause        = "pause"
	ActionResume       = "resume"
	// ActionCancelScheduled and ActionMoveScheduled are changes of scheduled records.
	ActionCancelScheduled = "cancel-scheduled"
	ActionMoveScheduled   = "move-scheduled"
	ActionReturn          = "return" // failed deliveries, to their queue
)

// The states of an action.
const (
	ActionDone    = "done"
	ActionRunning = "running" // it has several steps; it can be continued if its process has died
	ActionStopped = "stopped" // it has ended before its last step; Detail has the reason
)

// An Action is an entry of the action log.
type Action struct {
	ID int64
	// At is when the action began, by the store's clock.
	At time.Time
	// By, Host and Reason are those of the actor.
	By, Host, Reason string
	// Name is the kind of action, such as ActionReplay. Filter is what it was applied to, as text.
	Name, Filter string
	// Changed counts the rows that the action has changed. It grows in the transactions that change them.
	Changed int64
	// Before and After are the bodies of an edit, each cut after ActionBodyLimit bytes.
	Before, After []byte
	// State is ActionDone, ActionRunning or ActionStopped.
	State string
	// Cursor is the largest id that was changed, and UpTo the largest one that the action may change. Total is how many rows
	// it began with, exact up to FailureStatsCap. Only actions with several steps use UpTo, Total and Detail.
	Cursor, UpTo, Total int64
	Detail              string
}

// ActionBodyLimit is how many bytes of a body the action log keeps.
const ActionBodyLimit = 1 << 20

// An ActionQuery selects entries of the action log. Empty fields match all.
type ActionQuery struct {
	// Before, if positive, selects entries with a smaller id: the next page.
	Before int64
	// ID selects one entry.
	ID int64
	// Running selects actions in the state ActionRunning.
	Running bool
	// Limit is the largest number of entries. Default: 50; at most 1,000.
	Limit int
}

// An ActionLog is the log of what operators did. Stores of drivers implement it beside [FailureOperator]. They write the
// entry in the transaction of the change itself. An action of several transactions has one entry, whose Changed
// grows with each of them, so it is right at any time, also after a crash.
type ActionLog interface {
	// LogAction writes an entry and returns its id. The store sets At.
	LogAction(ctx context.Context, a Action) (int64, error)
	// UpdateAction sets State, Total, UpTo and Detail of an entry.
	UpdateAction(ctx context.Context, a Action) error
	// Actions returns entries, the newest first.
	Actions(ctx context.Context, q ActionQuery) ([]Action, error)
	// SweepActions deletes up to limit entries that are older than age, and returns how many. Running actions stay.
	SweepActions(ctx context.Context, age time.Duration, limit int) (int, error)
}

// A ScheduleLogger is an [OutboxStore] whose Cancel and Reschedule write the action log in the caller's transaction, if their context
// has an actor. All stores on parley's own tables are such stores.
type ScheduleLogger interface{ LogsSchedule() bool }

// NewAction returns the entry that a store writes for a change within ctx, or false if ctx has no actor. With a.Entry of the
// actor the entry exists, and only Changed and Cursor are to be added to it; its id is set then.
func NewAction(ctx context.Context, name, filter string) (Action, bool) {
	actor, ok := ActorOf(ctx)
	if !ok {
		return Action{}, false
	}
	return Action{ID: actor.Entry, Name: name, Filter: filter, State: ActionDone}.by(actor), true
}

func (a Action) by(actor Actor) Action {
	a.By, a.Host, a.Reason = actor.Name, actor.Host, actor.Reason
	return a
}

// Clean returns the entry with texts that every database accepts.
func (a Action) Clean() Action {
	a.By, a.Host, a.Name = CleanText(a.By, 200), CleanText(a.Host, 200), CleanText(a.Name, 50)
	a.Filter, a.Reason, a.Detail = CleanText(a.Filter, 2000), CleanText(a.Reason, 2000), CleanText(a.Detail, 2000)
	a.Before, a.After = a.Before[:min(len(a.Before), ActionBodyLimit)], a.After[:min(len(a.After), ActionBodyLimit)]
	if a.State == "" {
		a.State = ActionDone
	}
	return a
}

// Rows returns the limit of the query within its bounds.
func (q ActionQuery) Rows() int {
	if q.Limit <= 0 {
		return 50
	}
	return min(q.Limit, 1000)
}

// idsShown is how many ids of a query its text names.
const idsShown = 20

// String returns the conditions of the query as a text for the action log, such as "consumer=mail state=parked".
func (q FailureQuery) String() string {
	var parts []string
	for _, c := range []struct{ name, value string }{
		{"consumer", q.Consumer}, {"group", q.Fingerprint}, {"exchange", q.Exchange}, {"routing_key", q.RoutingKey}, {"message_id", q.MessageID},
		{"identity", q.Identity},
	} {
		if c.value != "" {
			parts = append(parts, c.name+"="+quoteIfNeeded(c.value))
		}
	}
	for _, state := range q.States {
		parts = append(parts, "state="+string(state))
	}
	if len(q.IDs) > 0 {
		parts = append(parts, "ids="+idsText(q.IDs))
	}
	if q.UpTo > 0 {
		parts = append(parts, fmt.Sprintf("up_to=%d", q.UpTo))
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " ")
}

// String returns the conditions of the selection as a text for the action log, such as "exchange=mail routing_key=remind tag.user=7".
func (s Selection) String() string {
	if s.ID > 0 {
		return fmt.Sprintf("record=%d", s.ID)
	}
	var parts []string
	for _, c := range []struct{ name, value string }{{"exchange", s.Exchange}, {"routing_key", s.RoutingKey}} {
		if c.value != "" {
			parts = append(parts, c.name+"="+quoteIfNeeded(c.value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
		parts = append(parts, "tag."+quoteIfNeeded(name)+"="+quoteIfNeeded(s.Tags[name]))
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " ")
}

// MoveText returns the text for the action log of a selection that is moved to another time.
func MoveText(s Selection, due time.Time) string {
	return s.String() + " to=" + due.UTC().Format(time.RFC3339)
}

// IDsText returns ids as a text for the action log, such as "ids=1,2,3". It names the first 20.
func IDsText(ids []int64) string { return "ids=" + idsText(ids) }

func idsText(ids []int64) string {
	shown := make([]string, min(len(ids), idsShown))
	for i := range shown {
		shown[i] = fmt.Sprint(ids[i])
	}
	text := strings.Join(shown, ",")
	if len(ids) > idsShown {
		text += fmt.Sprintf(",… (%d ids)", len(ids))
	}
	return text
}

// quoteIfNeeded quotes a value that would not be read as one word.
func quoteIfNeeded(value string) string {
	if strings.ContainsAny(value, " \t\n\r\"=") {
		return fmt.Sprintf("%q", shorten(value, 500))
	}
	return shorten(value, 500)
}
