package parleytest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A FailureTable combines the interfaces that a driver's table of failed deliveries implements.
type FailureTable[Tx any] interface {
	parley.FailureStore
	parley.FailureOperator
	parley.FailureTx[Tx]
}

// FailuresUnderTest is an empty table of failed deliveries, the inbox of the same database, and the ways to begin and end
// its transactions.
type FailuresUnderTest[Tx any] struct {
	// Failures is the table under test. Required.
	Failures FailureTable[Tx]
	// Inbox is an inbox for which Failures.SharesTx returns true. Required.
	Inbox parley.InboxStore[Tx]
	// Begin, Commit and Rollback are those of the database. Rollback after the end of
	// the transaction may return an error, which is ignored. Required.
	Begin    func(ctx context.Context) (Tx, error)
	Commit   func(ctx context.Context, tx Tx) error
	Rollback func(ctx context.Context, tx Tx) error
	// SingleWriter states that a second writer waits for the end of the first transaction, as in SQLite. Promises about
	// concurrent transactions are then skipped.
	SingleWriter bool
	// SweepIgnoresFailures states that Inbox.SweepInbox may delete the identity of a failed delivery. No driver of
	// parley sets it: a message that waits for longer than the retention of the inbox would have its effect twice.
	SweepIgnoresFailures bool
	// Rounds is the total number of rounds of each race test, over all goroutines. Default: 200.
	Rounds int
	// Rows is the number of rows of a large table. Above [parley.FailureStatsCap] the cap of the statistics
	// is tested too. Default: 5,000.
	Rows int
}

// TestFailures runs each promise of a table of failed deliveries as a subtest. open returns
// an empty table, and cleans up through t; it is called once for each subtest.
//
// The suite runs in real time: leases take 300 ms where they have to end, and a minute where they must not.
// No promise depends on an action within a lease, so a slow server makes the suite slow, not wrong. All claims of
// one subtest have the same lease, because a row that is due later than twice the lease counts as free.
//
//	func TestFailuresKeepThePromises(t *testing.T) {
//		parleytest.TestFailures(t, func(t *testing.T) parleytest.FailuresUnderTest[mydb.Tx] {
//			s := openEmpty(t)
//			return parleytest.FailuresUnderTest[mydb.Tx]{
//				Failures: s.Failures(), Inbox: s, Begin: s.Begin, Commit: commit, Rollback: rollback,
//			}
//		})
//	}
func TestFailures[Tx any](t *testing.T, open func(t *testing.T) FailuresUnderTest[Tx]) {
	promises := slices.Concat(
		keepPromises[Tx](), claimPromises[Tx](), leasePromises[Tx](), settlePromises[Tx](), failureTxPromises[Tx](),
		keyPromises[Tx](), keyRunPromises[Tx](), keyRacePromises[Tx](), sweepPromises[Tx](),
		listPromises[Tx](), replayPromises[Tx](), operatePromises[Tx](), hostilePromises[Tx](), manyPromises[Tx]())
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			under := open(t)
			if p.sideBySide && under.SingleWriter {
				return // it holds, as nothing is side by side
			}
			if under.Rounds == 0 {
				under.Rounds = 200
			}
			if under.Rows == 0 {
				under.Rows = 5000
			}
			ctx, cancel := context.WithTimeout(t.Context(), failurePatience)
			t.Cleanup(cancel)
			p.run(&failureTest[Tx]{T: t, FailuresUnderTest: under, ctx: ctx})
		})
	}
}

const (
	// failurePatience bounds one subtest, also with large tables on slow servers.
	failurePatience = 2 * time.Minute
	// brief is a lease that ends soon; lasting is one that does not end within a test.
	brief   = 300 * time.Millisecond
	lasting = 5 * time.Minute
	// billing is the consumer of most tests.
	billing = "billing"
)

// A failurePromise is one promise and the function that checks it.
type failurePromise[Tx any] struct {
	name       string
	run        func(f *failureTest[Tx])
	sideBySide bool // needs a writer beside an open transaction
}

// A failureTest is one subtest. Its helpers fail the test on unexpected errors.
type failureTest[Tx any] struct {
	*testing.T
	FailuresUnderTest[Tx]
	ctx context.Context // ends with the patience for this subtest
}

func (f *failureTest[Tx]) must(err error, what string) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// begin begins a transaction that is rolled back at the end of the test.
func (f *failureTest[Tx]) begin() Tx {
	f.Helper()
	tx, err := f.Begin(f.ctx)
	f.must(err, "begin")
	f.Cleanup(func() { _ = f.Rollback(context.WithoutCancel(f.ctx), tx) })
	return tx
}

func (f *failureTest[Tx]) commit(tx Tx) {
	f.Helper()
	f.must(f.Commit(f.ctx, tx), "commit")
}

func (f *failureTest[Tx]) rollback(tx Tx) {
	f.Helper()
	f.must(f.Rollback(f.ctx, tx), "roll back")
}

// keep keeps failures of the consumer and returns the results.
func (f *failureTest[Tx]) keep(consumer string, failures ...parley.Failure) []parley.KeptFailure {
	f.Helper()
	kept, err := f.Failures.Keep(f.ctx, consumer, failures)
	f.must(err, "keep")
	if len(kept) != len(failures) {
		f.Fatalf("Keep got %d failures and returned %d results", len(failures), len(kept))
	}
	return kept
}

// keepIDs keeps failures of consumer billing and returns their ids.
func (f *failureTest[Tx]) keepIDs(failures ...parley.Failure) []int64 {
	f.Helper()
	var ids []int64
	for _, k := range f.keep(billing, failures...) {
		ids = append(ids, k.ID)
	}
	return ids
}

// claimWith claims rows of consumer billing.
func (f *failureTest[Tx]) claimWith(o parley.FailureClaimOptions) []parley.ClaimedFailure {
	f.Helper()
	claimed, err := f.Failures.Claim(f.ctx, billing, o)
	f.must(err, "claim")
	return claimed
}

// claim claims up to limit rows, only the first one of each key.
func (f *failureTest[Tx]) claim(limit int, lease time.Duration) []parley.ClaimedFailure {
	f.Helper()
	return f.claimWith(parley.FailureClaimOptions{Limit: limit, KeyRun: 1, Owner: "worker-1", Lease: lease})
}

// claimOne claims the only due row.
func (f *failureTest[Tx]) claimOne(what string, lease time.Duration) parley.ClaimedFailure {
	f.Helper()
	claimed := f.claim(10, lease)
	if len(claimed) != 1 {
		f.Fatalf("%s: %d rows are due, want 1", what, len(claimed))
	}
	return claimed[0]
}

// claimAgain claims one row as soon as it is due.
func (f *failureTest[Tx]) claimAgain(what string, lease time.Duration) parley.ClaimedFailure {
	f.Helper()
	var claimed []parley.ClaimedFailure
	eventually(f.T, what, func() bool {
		claimed = f.claim(1, lease)
		return len(claimed) == 1
	})
	return claimed[0]
}

// wantDue claims all due rows, only the first one of each key, and compares the ids. The rows stay claimed.
func (f *failureTest[Tx]) wantDue(what string, want ...int64) []parley.ClaimedFailure {
	f.Helper()
	claimed := f.claim(100, lasting)
	if got := claimedIDs(claimed); !slices.Equal(got, want) {
		f.Fatalf("%s: the rows %v are due, want %v", what, got, want)
	}
	return claimed
}

func (f *failureTest[Tx]) settle(c parley.FailureClaim, o parley.FailureOutcome) {
	f.Helper()
	f.must(f.Failures.Settle(f.ctx, c, o), fmt.Sprintf("settle row %d", c.ID))
}

func (f *failureTest[Tx]) done(c parley.ClaimedFailure) {
	f.Helper()
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureDone})
}

// wantLost checks the error of a lost claim.
func (f *failureTest[Tx]) wantLost(what string, err error) {
	f.Helper()
	if !errors.Is(err, parley.ErrClaimLost) {
		f.Fatalf("%s: %v, want ErrClaimLost", what, err)
	}
}

// get returns one row.
func (f *failureTest[Tx]) get(id int64) parley.FailureRow {
	f.Helper()
	row, err := f.Failures.Get(f.ctx, id)
	f.must(err, fmt.Sprintf("get row %d", id))
	return row
}

// wantState checks the state of a row.
func (f *failureTest[Tx]) wantState(what string, id int64, want parley.FailureState) {
	f.Helper()
	if got := f.get(id).State; got != want {
		f.Fatalf("%s: row %d is %s, want %s", what, id, got, want)
	}
}

// list returns all rows that match.
func (f *failureTest[Tx]) list(q parley.FailureQuery) []parley.FailureRow {
	f.Helper()
	rows, err := f.Failures.List(f.ctx, q, 0, 1000)
	f.must(err, "list")
	return rows
}

// wantListed checks the ids of the rows that match.
func (f *failureTest[Tx]) wantListed(what string, q parley.FailureQuery, want ...int64) {
	f.Helper()
	if got := rowIDs(f.list(q)); !slices.Equal(got, want) {
		f.Fatalf("%s: the rows %v match, want %v", what, got, want)
	}
}

func claimedIDs(claimed []parley.ClaimedFailure) []int64 {
	ids := []int64{}
	for i := range claimed {
		ids = append(ids, claimed[i].ID)
	}
	return ids
}

func rowIDs(rows []parley.FailureRow) []int64 {
	ids := []int64{}
	for i := range rows {
		ids = append(ids, rows[i].ID)
	}
	return ids
}

func claimsOf(claimed []parley.ClaimedFailure) []parley.FailureClaim {
	var claims []parley.FailureClaim
	for i := range claimed {
		claims = append(claims, claimed[i].FailureClaim)
	}
	return claims
}

// failed returns a failure that is due at once and has no identity.
func failed(body string) parley.Failure {
	return parley.Failure{
		State: parley.FailureWaiting, Fingerprint: "0123456789abcdef0123456789abcdef",
		Message: parley.Message{
			Exchange: "orders", RoutingKey: "placed", ID: unique("message"), Kind: parley.KindEvent, Body: []byte(body),
			Headers: map[string]any{"tenant": "t-1"},
		},
		History: parley.History{Attempts: 1, FirstError: "no stock", LastError: "no stock", FirstFailure: microseconds(), LastFailure: microseconds()},
	}
}

// identified returns a failure with an identity.
func identified(identity string) parley.Failure {
	o := failed(`{"n": 1}`)
	o.Identity = identity
	sum := sha256.Sum256([]byte(billing + identity))
	o.RepeatOf = sum[:]
	return o
}

// keyed returns a failure with an ordering key.
func keyed(key string) parley.Failure {
	o := failed(`{"n": 1}`)
	o.Key = key
	return o
}

// parked returns o in the state parked.
func parked(o parley.Failure) parley.Failure {
	o.State, o.History.Reason = parley.FailureParked, "out of retries"
	return o
}

// holding returns o in the state parked, so that it holds its key.
func holding(o parley.Failure) parley.Failure {
	o = parked(o)
	o.Holds = true
	return o
}

// failures returns n failures that are due at once.
func failures(n int) []parley.Failure {
	out := make([]parley.Failure, n)
	for i := range out {
		out[i] = failed(fmt.Sprintf(`{"n": %d}`, i))
	}
	return out
}

func microseconds() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
