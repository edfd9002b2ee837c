package parley

import (
	"context"
	"errors"
	"time"
)

// A FailureStore keeps the failed deliveries of consumers in a table: those that wait for their
// next retry and those that are parked. A consumer with a FailureStore retries and parks in
// the database; the broker only sees the ack. Stores of drivers implement it.
//
// All times are by the store's clock. All methods are safe for concurrent use.
type FailureStore interface {
	// Check reports what is missing: the table, a right, durability. It only reads. The error
	// names the command that fixes it.
	Check(ctx context.Context) error
	// Keep writes failures in one transaction, in their order, and commits before it returns. Only
	// then may their deliveries be acked. If a row with a failure's RepeatOf exists, Keep only
	// increments that row's Repeats and returns the row as it is. A waiting failure with a Key that has
	// an earlier row becomes FailureBehind; an earlier parked row counts only if it holds. A
	// parked failure stays parked. After its commit Keep promotes the key's first row if the row ahead of it is gone by then.
	// It waits at most 1s for a lock. An error that wraps ErrRefused means that the database can never
	// accept this data; nothing was written then.
	Keep(ctx context.Context, consumer string, failures []Failure) ([]KeptFailure, error)
	// Claim takes due rows, oldest first, and skips rows that other processes hold. In the same transaction it counts
	// each row as begun, gives it the next claim number, and makes it due again after o.Lease. So a process
	// that dies is counted, and its rows become due again. Only the first row of a key is
	// ever due. With o.KeyRun > 1 the rows behind it are claimed too: they become running and follow directly behind it
	// in the result, in their order. A run ends before a row that is claimed only Alone. If the lease of a whole run is over,
	// again only its first row is due. A running row that is due later than twice the lease counts as free: it was claimed with a
	// clock that was ahead. Rows held by open transactions are skipped, never waited for.
	Claim(ctx context.Context, consumer string, o FailureClaimOptions) ([]ClaimedFailure, error)
	// Renew makes claims due again only after lease. It returns the lost claims: the row was claimed
	// again, or is gone. It does not wait for rows that open transactions have deleted
	// (DoneIn): their handlers are running, and their claims are not lost.
	Renew(ctx context.Context, claims []FailureClaim, lease time.Duration) (lost []FailureClaim, err error)
	// Settle ends a claim. It returns ErrClaimLost, and changes nothing, if the row has another claim number
	// or is not running. FailureDone of a missing row returns nil: its handler's transaction has deleted it. When a row
	// is deleted, the next row of its key is promoted after the commit. A row that is to wait but is not the
	// first of its key becomes FailureBehind: the rest of a run that its caller releases.
	Settle(ctx context.Context, c FailureClaim, o FailureOutcome) error
	// KeysWithRows reports which of the keys have a row that a new delivery must be put behind. A parked row
	// counts only if it holds.
	KeysWithRows(ctx context.Context, consumer string, keys []string) (map[string]bool, error)
	// NextDue returns how long it is until the earliest row is due; zero or negative if one is due
	// already. ok is false if no row has a due time.
	NextDue(ctx context.Context, consumer string) (wait time.Duration, ok bool, err error)
	// Sweep promotes keys whose first row was left behind by a crash. It deletes up to limit rows that were
	// parked longer than retention ago (0 means none). It returns how many rows it changed.
	Sweep(ctx context.Context, consumer string, retention time.Duration, limit int) (int, error)
}

// A FailureTx is a FailureStore that can end a claim in the transaction of a handler.
type FailureTx[Tx any] interface {
	// SharesTx reports whether transactions of inbox see and change this store's rows: same
	// database, same pool.
	SharesTx(inbox InboxStore[Tx]) bool
	// DoneIn deletes the claimed row within tx. It returns ErrClaimLost if the claim is no longer
	// valid: the caller must roll back. It runs before the handler, so that a slower process with the same
	// row waits, and then rolls back.
	DoneIn(ctx context.Context, tx Tx, c FailureClaim) error
	// Promote makes the first row of a key due if it is behind and nothing is ahead of it. It is called after
	// tx has committed.
	Promote(ctx context.Context, consumer, key string) error
}

// A FailureOperator lists and changes failed deliveries, for commands and consoles. No method
// changes a running row, because it is being handled.
type FailureOperator interface {
	// List returns rows with an id greater than after, in the order of their ids, without their bodies.
	List(ctx context.Context, q FailureQuery, after int64, limit int) ([]FailureRow, error)
	// Newest returns the rows with the largest ids, in descending order, without their bodies: at most limit rows of all consumers in
	// any state.
	Newest(ctx context.Context, limit int) ([]FailureRow, error)
	// Get returns one row with its body. It returns ErrNoFailure if there is none.
	Get(ctx context.Context, id int64) (FailureRow, error)
	// Replay makes the matching rows waiting, with the retry plan from its start, Replays + 1 and Begun 0. The first is due at
	// once, each further one (by id) later by every. It returns how many. Rows of a key stay in their order: only the
	// first one is due, and a later one that was waiting becomes FailureBehind. If a later one is running, the replayed row is
	// behind until that one is settled.
	Replay(ctx context.Context, q FailureQuery, every time.Duration) (int, error)
	// Edit replaces the body of a row that is not running (else ErrRunning). RepeatOf does not change: a repeat of the
	// original still counts as one.
	Edit(ctx context.Context, id int64, body []byte) error
	// Drop deletes the matching rows that are not running, and promotes their keys. running counts the rows that were left.
	Drop(ctx context.Context, q FailureQuery) (dropped, running int, err error)
	// Move gives the rows of one consumer to another, after a rename, and returns how many. Running rows stay. If both
	// have rows of a key, only the first row is due afterwards.
	Move(ctx context.Context, from, to string) (int, error)
	// Stats counts the rows of a consumer; "" means all consumers. Counts are exact up to FailureStatsCap.
	Stats(ctx context.Context, consumer string) (FailureStats, error)
	// Consumers lists the names of all consumers that have rows.
	Consumers(ctx context.Context) ([]string, error)
}

// Errors of a FailureStore.
var (
	// ErrFailuresNotReady means that Check has found a defect that an operator must fix: no table, a missing right, a
	// read-only database. An unreachable database is another error.
	ErrFailuresNotReady = errors.New("failure store is not ready")
	// ErrClaimLost means that a claim is no longer valid: its lease ended and another process has
	// claimed the row, or the row is gone.
	ErrClaimLost = errors.New("claim lost")
	// ErrNoFailure means that no row has this id.
	ErrNoFailure = errors.New("no such failed delivery")
	// ErrRunning means that the row is being handled now and cannot be changed.
	ErrRunning = errors.New("is being handled")
)

// A FailureState is the state of a row.
type FailureState string

// The states of a failed delivery.
const (
	// FailureWaiting is a row that waits for its next attempt, due at a time.
	FailureWaiting FailureState = "waiting"
	// FailureBehind is a row behind an earlier row of its ordering key. It has no due time.
	FailureBehind FailureState = "behind"
	// FailureRunning is a row claimed by a process. Its due time is the end of the lease.
	FailureRunning FailureState = "running"
	// FailureParked is a row set aside for an operator.
	FailureParked FailureState = "parked"
)

// A Failure is a failed delivery as a consumer passes it to a FailureStore. Its texts are as long and as
// unusual as the sender made them. A driver stores Message exactly (EncodeEnvelope and Body, as bytes) and
// searchable columns as cleaned copies (CleanText).
type Failure struct {
	// Message has its own exchange and routing key, not those of a retry queue.
	Message Message
	History History
	// Key is the ordering key, "" for none. Identity is equal for all deliveries of one message. Both are
	// valid text, at most 1,000 bytes: longer ones are hashed.
	Key, Identity string
	// RepeatOf is a SHA-256 of consumer, identity, body, exchange and routing key; nil without an identity.
	RepeatOf []byte
	// Begun is how many attempts have begun without an outcome, if the caller knows.
	Begun int
	// State is FailureWaiting, due After from now, or FailureParked.
	State FailureState
	After time.Duration
	// Holds reports whether later messages of the key must stay behind a parked row.
	Holds bool
	// Fingerprint groups failures of one cause: 32 hexadecimal digits, or "".
	Fingerprint string
}

// A KeptFailure is the result of keeping one failure.
type KeptFailure struct {
	ID     int64
	State  FailureState
	Repeat bool // the row existed before
}

// A FailureClaim is the right to handle one row until its lease ends. Number is a fencing token: each claim of a row has a higher one.
type FailureClaim struct {
	ID, Number int64
	Consumer   string
	Key        string
}

// FailureClaimOptions say which due rows a consumer wants.
type FailureClaimOptions struct {
	// Limit is the largest number of rows, at least 1.
	Limit int
	// KeyRun is the largest number of rows of one key, at least 1. A run counts as one row towards Limit.
	KeyRun int
	// MaxBytes bounds the total size of the bodies; 0 means no bound. The first row may be larger.
	MaxBytes int
	// Owner names the process, for operators: at most 64 bytes.
	Owner string
	// Lease is how long the claims last unless they are renewed.
	Lease time.Duration
	// Alone asks for at most one row that has begun SuspectAfter times or more without an outcome. Without Alone such rows are
	// skipped. The caller handles it with nothing else in hand.
	Alone bool
}

// SuspectAfter is the number of begun attempts without an outcome from which on a row is claimed only Alone.
const SuspectAfter = 2

// A ClaimedFailure is a row that was claimed.
type ClaimedFailure struct {
	FailureClaim
	Message Message
	History History
	// Begun counts the attempts begun without an outcome, this one included.
	Begun int
}

// A FailureAction is what happens to a claimed row.
type FailureAction int

// The actions that end a claim.
const (
	// FailureDone deletes the row: it was handled.
	FailureDone FailureAction = iota
	// FailureRetry makes it waiting, due after FailureOutcome.After, with FailureOutcome.History. Begun becomes 0. (History
	// says whether the attempt used up a step of the plan or was put off.)
	FailureRetry
	// FailurePark parks it with FailureOutcome.History (which has the reason), Fingerprint and Holds. Begun becomes 0.
	FailurePark
	// FailureRelease releases it: due at once, with Begun as it was before the claim.
	FailureRelease
)

// A FailureOutcome ends a claim.
type FailureOutcome struct {
	Action      FailureAction
	After       time.Duration
	History     History
	Fingerprint string
	Holds       bool
}

// A FailureQuery selects rows. Empty fields match all.
type FailureQuery struct {
	Consumer    string
	States      []FailureState
	IDs         []int64
	Fingerprint string
	Exchange    string
	RoutingKey  string
	MessageID   string
	// Identity is the identity of a message, as [Identity] returns it. Stores find it by an index.
	Identity string
	// UpTo, if positive, is the largest id.
	UpTo int64
}

// A FailureRow is a row as operators see it.
type FailureRow struct {
	ID       int64
	Consumer string
	State    FailureState
	// DueAt is when a waiting row is due, or when the lease of a running one ends; else zero.
	DueAt     time.Time
	CreatedAt time.Time
	// ParkedAt is when the row was parked, or zero.
	ParkedAt    time.Time
	Holds       bool
	Key         string
	Identity    string
	ClaimedBy   string
	Begun       int
	Repeats     int
	Size        int // of the body, in bytes
	Fingerprint string
	History     History
	// Message has no Body in lists.
	Message Message
}

// FailureStats are counts of rows, each capped at FailureStatsCap.
type FailureStats struct {
	Waiting, Behind, Running, Parked int64
	// OldestWaiting is how long the most overdue waiting row has been due; 0 if none is due.
	OldestWaiting time.Duration
	// OldestParked is how long ago the oldest parked row was parked.
	OldestParked time.Duration
}

// FailureStatsCap is where Stats stops counting, so that counting a million rows stays cheap.
const FailureStatsCap = 10_000
