package parley

import (
	"bytes"
	"context"
	"strconv"
	"time"
)

// RelayMode says how several relays share one outbox.
type RelayMode int

const (
	// ModeOrdered lets one relay at a time work on an outbox; others stand by. Records
	// are published in the order of their ids. The default.
	ModeOrdered RelayMode = iota
	// ModeParallel lets all relays work at once on different records; no order is promised.
	ModeParallel
)

func (m RelayMode) String() string {
	if m == ModeParallel {
		return "parallel"
	}
	return "ordered"
}

// ClaimOptions say which records a relay wants.
type ClaimOptions struct {
	Mode RelayMode
	// Limit is the largest number of records, at least 1.
	Limit int
	// MaxBytes bounds the bodies of the batch together, in bytes; 0 is no bound. The first record may be larger.
	MaxBytes int
	// Except names exchanges whose records are left alone for now, because the broker rejects them.
	Except []string
}

// Room returns a function that tells, of the body of one record after another, whether the record still
// has room in a batch with a share of MaxBytes. The first one has; after one that has not, none has.
func (o ClaimOptions) Room(share int) func(body int) bool {
	left, first := o.MaxBytes/share, true
	return func(body int) bool {
		left -= body
		if left < 0 && !first {
			left = -1 << 30 // nothing that is smaller may overtake it
		}
		ok := left >= 0 || first || o.MaxBytes <= 0
		first = false
		return ok
	}
}

// A RelaySource is an outbox as the relay sees it. Stores of drivers implement it.
type RelaySource interface {
	// Claim locks and reads due records: first those due at once in the order of
	// their ids, then scheduled ones in the order of their due times, by the
	// database's clock. In ModeOrdered it returns ErrStandby at once when another
	// relay holds a batch; in ModeParallel it skips records that another relay
	// holds. The batch must be settled or released; until then a Cancel of its
	// records waits, and does not count them.
	Claim(ctx context.Context, o ClaimOptions) (Batch, error)
	// Delete removes records that the broker has accepted although their batch could
	// not be settled. It returns how many were still there.
	Delete(ctx context.Context, ids []int64) (int, error)
	// NextDue tells how long it is until the earliest scheduled record is due, by the
	// database's clock; not positive when one is due already. ok is false if none is scheduled.
	NextDue(ctx context.Context) (wait time.Duration, ok bool, err error)
}

// A Batch is a set of records that one relay holds.
type Batch interface {
	// Records are the records with their final bodies. The slice belongs to the caller.
	Records() []Record
	// Settle removes the sent records, moves the parked ones aside and gives the
	// others back, all in one transaction. It returns how many of the sent and
	// parked records were gone already: somebody without a lock, such as a Python
	// relay, works on the same table.
	Settle(ctx context.Context, sent []int64, parked []Parked) (foreign int, err error)
	// Release gives all records back as they were. It is a no-op after Settle.
	Release(ctx context.Context) error
}

// An AheadBatch is a Batch that can claim what is behind it while it is held itself, so that a
// relay with a backlog need not wait for the database between two batches.
type AheadBatch interface {
	Batch
	// ClaimAhead claims what Claim would once this batch is settled. Nothing of the next
	// batch may be published before this one is settled and lead has returned nil; it returns
	// ErrStandby when another relay has become the active one meanwhile. After an
	// error of lead the next batch is released. ClaimAhead may run while this batch is settled or released.
	ClaimAhead(ctx context.Context, o ClaimOptions) (next Batch, lead func(ctx context.Context) error, err error)
}

// A DueBatch is a Batch that has learnt, in the round trip that settled it, what NextDue
// would tell.
type DueBatch interface {
	Batch
	// NextDue is RelaySource.NextDue, as of the batch's end. known is false where that was not asked.
	NextDue() (wait time.Duration, ok, known bool)
}

// Parked is a record that the broker can never accept, and why.
type Parked struct {
	Record Record
	Reason string
}

// A RelayWaker is a RelaySource that can tell when records arrive. A wake-up is
// a hint: the relay polls as well.
type RelayWaker interface {
	// Watch calls wake whenever records may have become due, and once when it has
	// started to watch. It blocks until ctx ends, then returns nil; an error says
	// that wake-ups do not arrive at the moment. wake never blocks.
	Watch(ctx context.Context, wake func()) error
}

// OutboxStats tell how an outbox is doing. All times are by the database's clock.
type OutboxStats struct {
	// Due counts the records that are due; OldestDue is how long the oldest has been.
	Due       int64
	OldestDue time.Duration
	// Scheduled counts the records that are due later.
	Scheduled int64
	// NeverDue counts rows that can never become due (Django's table only).
	NeverDue int64
	// Parked counts the records set aside.
	Parked int64
}

// An OutboxInspector reports the state of an outbox; `parley check` and the metrics use it.
type OutboxInspector interface {
	Stats(ctx context.Context) (OutboxStats, error)
}

// A ParkedRecord is a record in the store's table of parked records.
type ParkedRecord struct {
	// ID is the number of the parked row, not the record's.
	ID int64
	// RecordID is the id that the record had in the outbox, so the event's id.
	RecordID int64
	ParkedAt time.Time
	Reason   string
	Message
}

// A ParkedStore gives operators access to parked records.
type ParkedStore interface {
	// ListParked returns parked records with an id above after, in the order of their ids.
	ListParked(ctx context.Context, after int64, limit int) ([]ParkedRecord, error)
	// ReplayParked moves parked records back into the outbox, with their bodies and
	// identities, to be published at once. It returns how many.
	ReplayParked(ctx context.Context, ids []int64) (int, error)
	// DropParked deletes parked records. It returns how many.
	DropParked(ctx context.Context, ids []int64) (int, error)
	// EditParked replaces the body of one parked record.
	EditParked(ctx context.Context, id int64, body []byte) error
}

// A Selection picks scheduled records: same exchange and routing key, and at
// least the given tags.
type Selection struct {
	Exchange   string
	RoutingKey string
	Tags       map[string]string
}

// An OutboxStore writes records within the caller's transaction. Stores of
// drivers implement it; users have [Outbox].
type OutboxStore[Tx any] interface {
	// Insert writes the records with one statement and sets their IDs.
	// It has been checked that they are valid.
	Insert(ctx context.Context, tx Tx, records []Record) error
	// Cancel deletes the scheduled records that match and returns how many it
	// prevented. Records that a relay holds are not among them: Cancel waits for it.
	Cancel(ctx context.Context, tx Tx, s Selection) (int, error)
	// Reschedule gives the scheduled records that match another due time and returns how many.
	Reschedule(ctx context.Context, tx Tx, s Selection, due time.Time) (int, error)
	// Scheduled lists scheduled records that match, soonest first. Empty fields of s match all.
	Scheduled(ctx context.Context, tx Tx, s Selection, limit int) ([]Record, error)
}

// An InboxStore remembers which messages have had their effect. Stores of drivers
// implement it; users have [Inbox].
type InboxStore[Tx any] interface {
	// Once begins a transaction, records that consumer has seen identity, runs fn
	// with the transaction and commits. If the identity is known it runs nothing
	// and returns ErrDuplicate. A concurrent Once with the same identity waits for
	// the first one. If fn fails or panics, everything is rolled back. An empty identity records
	// nothing: fn just gets a transaction.
	Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx Tx) error) error
	// SweepInbox deletes up to limit identities recorded more than age ago and returns how many.
	SweepInbox(ctx context.Context, age time.Duration, limit int) (int, error)
}

// FinishBody returns the body as it goes on the wire: events and calls are stored
// without the number that the database gives them, and get it as their first member.
// Stores call it when they read a record. A body that has its number already stays as it is.
func FinishBody(kind Kind, id int64, body []byte) []byte {
	var name string
	switch kind {
	case KindEvent:
		name = `{"eventId": `
	case KindCall:
		name = `{"id": `
	default:
		return body
	}
	rest := afterOpenBrace(body)
	if bytes.HasPrefix(rest, []byte(name[1:len(name)-1])) {
		return body
	}
	out := make([]byte, 0, len(body)+len(name)+22)
	out = append(out, name...)
	out = strconv.AppendInt(out, id, 10)
	if len(rest) > 1 {
		out = append(out, ", "...)
		return append(out, rest...)
	}
	return append(out, '}')
}

func afterOpenBrace(body []byte) []byte {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' {
		return nil
	}
	return bytes.TrimLeft(body[1:], " \t\r\n")
}
