package parley

import (
	"context"
	"time"
)

// An OutboxSummary is the state of an outbox, read at a cost that does not grow with its size.
// All times are by the database's clock.
type OutboxSummary struct {
	// OutboxStats holds the counts. Each stops at the limit of the call: a count that equals the limit means
	// "this many or more".
	OutboxStats
	// Partial reports whether only the first rows were read (Django's table): then every count is a lower bound.
	Partial bool
	// OldestParked is how long ago the oldest parked record was parked; 0 without one.
	OldestParked time.Duration
	// LastParked is the record that was parked last, without body and properties; nil without one.
	LastParked *ParkedRecord
}

// An OutboxSummarizer is an OutboxInspector that can limit the cost of counting; `parley status` uses it.
type OutboxSummarizer interface {
	// Summary counts at most limit records of each kind. limit must be positive.
	Summary(ctx context.Context, limit int) (OutboxSummary, error)
}

// A DueLister lists the records of an outbox that are due, for consoles.
type DueLister interface {
	// Due returns the first due records without bodies, tags and properties: those due at once in the order of their ids, then scheduled
	// ones in the order of their due times; at most limit. Records that a relay holds are among them.
	Due(ctx context.Context, limit int) ([]Record, error)
}

// A RelayLeader is the database session of the relay that leads.
type RelayLeader struct {
	// Session is the number of the session, or 0 if the database has none.
	Session int64
	// Application, User and Host are what the database knows of the session; each may be "".
	Application, User, Host string
	// AtRest reports whether the relay waits for records. Otherwise it is working on a batch.
	AtRest bool
}

// A LeaderInspector is a RelaySource that can name the relay that leads.
type LeaderInspector interface {
	// Leader returns the leading relay, or nil if the database shows none at this moment. A relay at rest is shown only by
	// PostgreSQL with notifications. In parallel mode no relay leads.
	Leader(ctx context.Context) (*RelayLeader, error)
}
