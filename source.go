package parley

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf8"
)

// RelayMode says how several relays share one outbox.
type RelayMode int

const (
	// RelayModeOrdered lets one relay at a time work on an outbox; others stand by. Records
	// are published in the order of their ids. The default.
	RelayModeOrdered RelayMode = iota
	// RelayModeParallel lets all relays work at once on different records; no order is promised.
	RelayModeParallel
)

func (m RelayMode) String() string {
	if m == RelayModeParallel {
		return "parallel"
	}
	return "ordered"
}

// ClaimOptions say which records a relay wants.
type ClaimOptions struct {
	Mode RelayMode
	// Limit is the largest number of records, at least 1.
	Limit int
	// MaxBytes bounds the total size of the bodies of the batch, in bytes; 0 means no bound. The first record may be larger.
	MaxBytes int
	// Except names exchanges whose records are skipped for now, because the broker rejects them.
	Except []string
}

// Reserved returns how many records of the batch are reserved for scheduled ones, so that a backlog of others does not delay them:
// a tenth of the limit, at least one. A batch of one record is reserved at random, half of the time.
func (o ClaimOptions) Reserved() int {
	if o.Limit == 1 {
		return rand.N(2) // not in turns: a relay that drops each second claim would send only one kind
	}
	return max(1, o.Limit/10)
}

// Room returns a function that is called with the body size of one record after another. It reports whether the record still
// fits in a batch with a share of MaxBytes. The first record always fits; after one that does not fit, none does.
func (o ClaimOptions) Room(share int) func(body int) bool {
	left, first := o.MaxBytes/share, true
	return func(body int) bool {
		left -= body
		if left < 0 && !first {
			left = -1 << 30 // no smaller record may overtake it
		}
		ok := left >= 0 || first || o.MaxBytes <= 0
		first = false
		return ok
	}
}

// A RelaySource is the relay's view of an outbox. Stores of drivers implement it.
type RelaySource interface {
	// Claim locks and reads due records. First come those due at once in the order of their ids,
	// then scheduled ones in the order of their due times, by the database's clock. Room for scheduled ones is reserved; see
	// ClaimOptions.Reserved. In
	// RelayModeOrdered it returns ErrStandby at once when another relay holds a batch; in
	// RelayModeParallel it skips records that another relay holds. Both modes skip scheduled
	// records that an open transaction has locked: their order is by time, and one slow transaction
	// must not block all others. The batch must be settled or released. Until then a Cancel of its
	// records waits, and does not count them.
	Claim(ctx context.Context, o ClaimOptions) (Batch, error)
	// Delete removes records that the broker has confirmed although their batch could
	// not be settled, if they are unchanged and no transaction has them locked. It
	// never waits for another transaction. It returns how many it has removed. remaining are the rows that
	// the table still has under the ids of the others: a locked record is unchanged; another row was
	// rescheduled or is another record with the same id.
	Delete(ctx context.Context, sent []SentRecord) (deleted int, remaining []SentRecord, err error)
	// NextDue returns how long it is until the earliest scheduled record is due, by the
	// database's clock; zero or negative if one is due already. ok is false if none is scheduled.
	NextDue(ctx context.Context) (wait time.Duration, ok bool, err error)
}

// A Batch is a set of records that one relay holds.
type Batch interface {
	// Records are the records with their final bodies. The slice belongs to the caller.
	Records() []Record
	// Settle deletes the sent records, parks the parked ones and releases the
	// others, all in one transaction. It returns how many of the sent and
	// parked records were deleted or changed by another process, for example by a
	// Python relay, which takes no locks.
	Settle(ctx context.Context, sent []int64, parked []Parked) (deletedElsewhere int, err error)
	// Release returns all records unchanged to the outbox. It is a no-op after Settle.
	Release(ctx context.Context) error
}

// An AheadBatch is a Batch that can claim the next batch while it is still held. So a relay with a
// backlog does not wait for the database between two batches.
type AheadBatch interface {
	Batch
	// ClaimAhead claims the records that Claim would return once this batch is settled. No record of the next
	// batch may be published before this one is settled and lead has returned nil. lead returns
	// ErrStandby if another relay has become the active one meanwhile. After an
	// error of lead the next batch is released. ClaimAhead may run while this batch is settled or released.
	ClaimAhead(ctx context.Context, o ClaimOptions) (next Batch, lead func(ctx context.Context) error, err error)
}

// A DueBatch is a Batch that reads, in the round trip that settles it, the value that NextDue
// would return.
type DueBatch interface {
	Batch
	// NextDue is RelaySource.NextDue at the end of the batch. known is false if it was not read.
	NextDue() (wait time.Duration, ok, known bool)
}

// Parked is a record that the broker can never accept, and why.
type Parked struct {
	Record Record
	Reason string
}

// A RelayWaker is a RelaySource that can report when records arrive. A wake-up is
// a hint: the relay polls as well.
type RelayWaker interface {
	// Watch calls wake whenever records may have become due, and once when it has
	// started watching. It blocks until ctx ends, then returns nil. An error means
	// that wake-ups are unavailable at the moment. wake never blocks.
	Watch(ctx context.Context, wake func()) error
}

// A BlockerInspector is a RelaySource that can name the sessions that keep due records locked.
type BlockerInspector interface {
	// Blockers returns these sessions except other relays, the oldest transaction first. An error means that
	// they cannot be determined, for example because a right is missing.
	Blockers(ctx context.Context) ([]Blocker, error)
}

// OutboxStats describe the state of an outbox. All times are by the database's clock.
type OutboxStats struct {
	// Due counts the records that are due; OldestDue is how long the oldest one has been due.
	Due       int64
	OldestDue time.Duration
	// Scheduled counts the records that are due later.
	Scheduled int64
	// NeverDue counts rows that can never become due (Django's table only).
	NeverDue int64
	// Parked counts the parked records.
	Parked int64
}

// An OutboxInspector reports the state of an outbox; `parley check` and the metrics use it.
type OutboxInspector interface {
	Stats(ctx context.Context) (OutboxStats, error)
}

// A ParkedRecord is a record in the store's table of parked records.
type ParkedRecord struct {
	// ID is the id of the parked row, not of the record.
	ID int64
	// RecordID is the id that the record had in the outbox, which is the event's id.
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

// A Selection selects scheduled records with this exchange and routing key and at
// least the given tags, or one record by its id.
type Selection struct {
	// ID, if positive, selects only the scheduled record with this id; the other fields are ignored.
	ID         int64
	Exchange   string
	RoutingKey string
	Tags       map[string]string
}

// An OutboxStore writes records within the caller's transaction. Stores of
// drivers implement it; users have [Outbox].
type OutboxStore[Tx any] interface {
	// Insert writes the records with one statement and sets their IDs.
	// The records were checked before.
	Insert(ctx context.Context, tx Tx, records []Record) error
	// Cancel deletes the scheduled records that match and returns how many. Records that
	// a relay holds are not among them: Cancel waits until they are settled or released.
	Cancel(ctx context.Context, tx Tx, s Selection) (int, error)
	// Reschedule gives the matching scheduled records another due time and returns how many.
	Reschedule(ctx context.Context, tx Tx, s Selection, due time.Time) (int, error)
	// Scheduled lists scheduled records that match, soonest first. Empty fields of s match all.
	Scheduled(ctx context.Context, tx Tx, s Selection, limit int) ([]Record, error)
}

// An InboxStore keeps the identities of handled messages. Stores of drivers
// implement it; users have [Inbox].
type InboxStore[Tx any] interface {
	// Once begins a transaction, records identity for consumer, runs fn
	// with the transaction and commits. If the identity is recorded already it does not run fn
	// and returns ErrDuplicate. A concurrent Once with the same identity waits for
	// the first one. If fn fails or panics, everything is rolled back. With an empty identity nothing
	// is recorded: fn only gets a transaction.
	Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx Tx) error) error
	// SweepInbox deletes up to limit identities that consumer recorded more than age ago and returns how many. It leaves those of
	// other consumers alone: they may have another retention.
	SweepInbox(ctx context.Context, consumer string, age time.Duration, limit int) (int, error)
}

// FinishBody returns the body in its final form for the wire. Events and calls are stored
// without their id, which the database assigns, and get it as their first member.
// Stores call it when they read a record. A body that already has its id is unchanged, and so is
// a body that is not a JSON object.
func FinishBody(kind Kind, id int64, body []byte) []byte {
	name := idMember(kind)
	rest := afterOpenBrace(body)
	if name == "" || rest == nil || hasID(name, rest) {
		return body
	}
	out := make([]byte, 0, len(body)+len(name)+26)
	out = append(out, '{')
	out = append(out, name...)
	out = append(out, ": "...)
	out = strconv.AppendInt(out, id, 10)
	if len(rest) > 1 {
		out = append(out, ", "...)
		return append(out, rest...)
	}
	return append(out, '}')
}

// CheckBody returns an error for a body that a record of this kind cannot have in an outbox. The body of an event or a call must be a
// JSON object, because it gets its id as a member. Stores call it before they change a body.
func CheckBody(kind Kind, body []byte) error {
	return errors.Join(checkBodyText(body), checkObject(kind, body), checkSize(kind, body))
}

func checkBodyText(body []byte) error {
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return &InvalidError{What: "body", Problem: "must be UTF-8 text without U+0000: databases reject other text"}
	}
	return nil
}

func checkObject(kind Kind, body []byte) error {
	switch {
	case idMember(kind) == "":
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return &InvalidError{What: "body", Problem: "must not begin with a byte order mark: save it as UTF-8 without one"}
	case afterOpenBrace(body) == nil || !json.Valid(body):
		return &InvalidError{What: "body", Value: shorten(string(body), 80), Problem: fmt.Sprintf("must be a JSON object: the %s gets its id as a member", kind)}
	}
	return nil
}

// idMember returns the quoted name of the member that holds a record's id; "" if the kind has none.
func idMember(kind Kind) string {
	switch kind {
	case KindEvent:
		return `"eventId"`
	case KindCall:
		return `"id"`
	}
	return ""
}

// hasID reports whether rest, the text after a body's opening brace, begins with the member called name.
func hasID(name string, rest []byte) bool {
	after, ok := bytes.CutPrefix(rest, []byte(name))
	return ok && bytes.HasPrefix(bytes.TrimLeft(after, " \t\r\n"), []byte(":"))
}

// afterOpenBrace returns the text after the opening brace, or nil if body is not an object.
func afterOpenBrace(body []byte) []byte {
	body = bytes.Trim(body, " \t\r\n")
	if len(body) < 2 || body[0] != '{' || body[len(body)-1] != '}' {
		return nil
	}
	return bytes.TrimLeft(body[1:], " \t\r\n")
}
