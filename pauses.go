package parley

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley/internal/topic"
)

// A PausePart is the part of a service that a pause stops.
type PausePart string

// The parts that can be paused.
const (
	PauseRelay    PausePart = "relay"
	PauseConsumer PausePart = "consumer"
)

// A Pause stops a part of a service until a time, or until an operator resumes it.
type Pause struct {
	ID   int64
	Part PausePart
	// Exchange is the exchange whose records a relay leaves in the outbox; "" means all. Other exchanges go on.
	Exchange string
	// Queue is the queue that no consumer subscribes to, or RoutingKey the pattern of the messages that consumers
	// move to the table of failed deliveries, as in a binding (* for a word, # for any words). A pause of consumers has one of the two.
	Queue, RoutingKey string
	// Until is when the pause ends by itself, by the store's clock; Left is how long that was when the pause was read.
	Until time.Time
	Left  time.Duration
	// CreatedAt, By, Host and Reason say who paused it, and why.
	CreatedAt        time.Time
	By, Host, Reason string
}

// Errors of pauses.
var (
	// ErrNoPause means that nothing was paused.
	ErrNoPause = errors.New("not paused")
	// ErrPaused means that a Drain has left records or failed deliveries where they are, because an operator has paused their part.
	ErrPaused = errors.New("paused by an operator")
	// ErrControlNotReady means that the table of pauses or of the action log is missing, or a right on it.
	ErrControlNotReady = errors.New("the tables for operators (parley_control, parley_log) are not ready")
)

// A ControlStore keeps pauses in a table, for all processes of a service. Stores of drivers implement it. All times are by
// the store's clock. An actor in the context (WithActor) is written to the pause and to the action log, in the same transaction.
type ControlStore interface {
	// SetPause pauses what p names for d. An existing pause of the same gets the new end and reason, and keeps its ID and CreatedAt.
	SetPause(ctx context.Context, p Pause, d time.Duration) (Pause, error)
	// EndPause ends the pause of what p names and returns it. It returns ErrNoPause if there is none.
	EndPause(ctx context.Context, p Pause) (Pause, error)
	// Pauses returns the pauses that have not ended, in the order of their ids.
	Pauses(ctx context.Context) ([]Pause, error)
}

// PauseLimit is the longest pause.
const PauseLimit = 30 * 24 * time.Hour

// Check returns an error if p does not name one thing to pause.
func (p *Pause) Check() error {
	named := 0
	for _, name := range [...]string{p.Exchange, p.Queue, p.RoutingKey} {
		if name == "" {
			continue
		}
		named++
		if err := checkName("Pause", name); err != nil {
			return fmt.Errorf("parley: %w", err)
		}
		if CleanText(name, 1000) != name {
			return fmt.Errorf("parley: pause %q: not valid text", name)
		}
	}
	switch {
	case p.Part == PauseRelay && (p.Queue != "" || p.RoutingKey != ""):
		return errors.New("parley: a relay is paused by exchange, or as a whole")
	case p.Part == PauseConsumer && (p.Exchange != "" || named != 1):
		return errors.New("parley: consumers are paused by queue or by routing key (give one of them)")
	case p.Part != PauseRelay && p.Part != PauseConsumer:
		return fmt.Errorf("parley: pause: unknown part %q (use relay or consumer)", p.Part)
	}
	return nil
}

// CheckPause returns an error if p cannot be paused for d. Stores call it in SetPause.
func CheckPause(p *Pause, d time.Duration) error {
	if d <= 0 || d > PauseLimit {
		return fmt.Errorf("parley: pause %s: the duration %s must be between 0 and %s", p, d, PauseLimit)
	}
	return p.Check()
}

// Scope returns what p names in two words, as stores keep it: the kind of name, and the name.
func (p *Pause) Scope() (kind, name string) {
	switch {
	case p.Queue != "":
		return "queue", p.Queue
	case p.RoutingKey != "":
		return "routing_key", p.RoutingKey
	}
	return "exchange", p.Exchange
}

// SetScope sets what p names from the result of Scope.
func (p *Pause) SetScope(kind, name string) {
	switch kind {
	case "queue":
		p.Queue = name
	case "routing_key":
		p.RoutingKey = name
	default:
		p.Exchange = name
	}
}

// String returns what is paused, such as "relay exchange shop".
func (p *Pause) String() string {
	kind, name := p.Scope()
	if name == "" {
		return string(p.Part)
	}
	return string(p.Part) + " " + strings.ReplaceAll(kind, "_", " ") + " " + name
}

// stops returns the error of a Drain that p stops. It names the command that ends the pause.
func (p *Pause) stops() error {
	cure := "parley resume " + string(p.Part)
	if kind, name := p.Scope(); name != "" {
		cure += " --" + strings.ReplaceAll(kind, "_", "-") + " " + quoteIfNeeded(name)
	}
	return fmt.Errorf("%w: %s (end the pause with: %s)", ErrPaused, p.Text(), cure)
}

// Group is the fingerprint of rows that consumers have moved to the table of failed deliveries because of this pause.
func (p *Pause) Group() string { return fmt.Sprintf("pause-%d", p.ID) }

// matches reports whether p is a pause of the messages with a routing key.
func (p *Pause) matches(routingKey string) bool {
	return p.Part == PauseConsumer && p.RoutingKey != "" && topic.Match(topic.Words(p.RoutingKey), topic.Words(routingKey))
}

// Resume ends a pause, and makes the deliveries that it has moved to the table of failed deliveries due at once, in the
// order of their ordering keys. failures may be nil for pauses of other kinds.
func Resume(ctx context.Context, control ControlStore, failures FailureOperator, p Pause) (ended Pause, returned int, err error) {
	if ended, err = control.EndPause(ctx, p); err != nil || ended.RoutingKey == "" || failures == nil {
		return ended, 0, err
	}
	returned, err = returnPaused(context.WithValue(ctx, actorKey{}, nil), failures, "", ended.Group())
	return ended, returned, err
}

// returnPaused makes the rows of a pause due.
func returnPaused(ctx context.Context, failures FailureOperator, consumer, group string) (int, error) {
	waiting := FailureQuery{Consumer: consumer, Fingerprint: group, States: []FailureState{FailureWaiting, FailureBehind}}
	n, err := failures.Replay(ctx, waiting, 0)
	if err != nil {
		return n, fmt.Errorf("parley: return deliveries of an ended pause: %w", err)
	}
	return n, nil
}
