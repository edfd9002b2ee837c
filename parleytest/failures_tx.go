package parleytest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func failureTxPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "SharesTxOnlyWithItsOwnInbox", run: sharesTxOnlyWithItsOwn[Tx]},
		{name: "DoneInDeletesWithItsTransaction", run: doneInDeletes[Tx]},
		{name: "DoneInRollsBackWithItsTransaction", run: doneInRollsBack[Tx]},
		{name: "DoneInWorksWithinTheInbox", run: doneInWorksWithinTheInbox[Tx]},
		{name: "DoneInFencesTwoHolders", run: doneInFencesTwoHolders[Tx], sideBySide: true},
		{name: "DoneInGoesOnAfterARollback", run: doneInGoesOnAfterARollback[Tx], sideBySide: true},
		{name: "ClaimSkipsARowWhoseDeletionIsOpen", run: claimSkipsAnOpenDeletion[Tx], sideBySide: true},
		{name: "RenewDoesNotWaitForAHandlersTransaction", run: renewDoesNotWait[Tx], sideBySide: true},
		{name: "SweptInboxKeepsTheIdentityOfAFailure", run: sweptInboxKeepsTheIdentity[Tx]},
	}
}

// A strangeInbox is an inbox of another database.
type strangeInbox[Tx any] struct{}

// Once is not in use.
func (strangeInbox[Tx]) Once(context.Context, string, string, func(context.Context, Tx) error) error {
	return errors.New("not in use")
}

// SweepInbox is not in use.
func (strangeInbox[Tx]) SweepInbox(context.Context, string, time.Duration, int) (int, error) {
	return 0, errors.New("not in use")
}

func sharesTxOnlyWithItsOwn[Tx any](f *failureTest[Tx]) {
	if !f.Failures.SharesTx(f.Inbox) {
		f.Errorf("SharesTx returns false for the inbox of the same database")
	}
	if f.Failures.SharesTx(strangeInbox[Tx]{}) {
		f.Errorf("SharesTx returns true for an inbox of another database")
	}
}

func doneInDeletes[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("user-7"), keyed("user-7"))
	c := f.claimOne("the first one", lasting)
	tx := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, tx, c.FailureClaim), "done within a transaction")
	f.commit(tx)
	f.wantListed("after the commit", parley.FailureQuery{}, ids[1])
	f.must(f.Failures.Promote(f.ctx, billing, "user-7"), "promote")
	f.done(c) // the consumer does so in any case
	f.wantDue("after the promotion", ids[1])
	f.must(f.Failures.Promote(f.ctx, billing, "user-7"), "promote a running row")
	f.must(f.Failures.Promote(f.ctx, billing, "no such key"), "promote a key without rows")
	f.wantState("a promotion does not change a running row", ids[1], parley.FailureRunning)
}

func doneInRollsBack[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(identified("id:7"))[0]
	c := f.claimOne("one row", lasting)
	tx := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, tx, c.FailureClaim), "done within a transaction")
	f.rollback(tx)
	f.wantState("after the rollback", id, parley.FailureRunning)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, History: c.History})
	f.wantDue("after the retry", id)
}

func doneInWorksWithinTheInbox[Tx any](f *failureTest[Tx]) {
	f.keepIDs(identified("id:7"))
	c := f.claimOne("one row", lasting)
	fails := errors.New("handler failed")
	once := func(result error) error {
		return f.Inbox.Once(f.ctx, billing, "id:7", func(ctx context.Context, tx Tx) error {
			return errors.Join(f.Failures.DoneIn(ctx, tx, c.FailureClaim), result)
		})
	}
	if err := once(fails); !errors.Is(err, fails) || errors.Is(err, parley.ErrClaimLost) {
		f.Fatalf("a handler that fails: %v, want its error", err)
	}
	f.must(once(nil), "the handler succeeds")
	f.wantListed("after its commit", parley.FailureQuery{})
	if err := once(nil); !errors.Is(err, parley.ErrDuplicate) {
		f.Errorf("the handler again: %v, want ErrDuplicate", err)
	}
}

// doneBeside calls DoneIn in a second transaction, which must wait for the first one, and returns the channel of its result.
func (f *failureTest[Tx]) doneBeside(wg *sync.WaitGroup, c parley.FailureClaim) (second Tx, result chan error) {
	f.Helper()
	second, result = f.begin(), make(chan error, 1)
	wg.Go(func() { result <- f.Failures.DoneIn(f.ctx, second, c) })
	silent(f.T, result, "a second holder of a row did not wait for the first one")
	return second, result
}

// Both holders handle the same message. The effect of only one may be committed.
func doneInFencesTwoHolders[Tx any](f *failureTest[Tx]) {
	f.keepIDs(failed(`{}`))
	c := f.claimOne("one row", lasting)
	first := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, first, c.FailureClaim), "done by the first holder")
	var wg sync.WaitGroup
	defer wg.Wait()
	second, result := f.doneBeside(&wg, c.FailureClaim)
	f.commit(first)
	f.wantLost("done by the second holder after the first one's commit", receive(f.T, result, "the second holder has its result"))
	f.rollback(second)
	f.wantListed("after both", parley.FailureQuery{})
}

func doneInGoesOnAfterARollback[Tx any](f *failureTest[Tx]) {
	f.keepIDs(failed(`{}`))
	c := f.claimOne("one row", lasting)
	first := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, first, c.FailureClaim), "done by the first holder")
	var wg sync.WaitGroup
	defer wg.Wait()
	second, result := f.doneBeside(&wg, c.FailureClaim)
	f.rollback(first)
	f.must(receive(f.T, result, "the second holder has its result"), "done by the second holder after the first one's rollback")
	f.commit(second)
	f.wantListed("after both", parley.FailureQuery{})
}

func claimSkipsAnOpenDeletion[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("user-7"), failed(`{}`), keyed("user-7"))
	claimed := f.claim(2, brief)
	tx := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, tx, claimed[0].FailureClaim), "done within a transaction")
	again := f.claimAgain("the lease of the second row is over", brief)
	if again.ID != ids[1] {
		f.Errorf("row %d was claimed although an open transaction has deleted it", again.ID)
	}
	eventually(f.T, "the lease of the first row is over", func() bool {
		wait, ok, err := f.Failures.NextDue(f.ctx, billing)
		return err == nil && ok && wait < 0
	})
	for _, c := range f.claim(10, brief) {
		if c.ID != ids[1] {
			f.Errorf("row %d was claimed while an open transaction has deleted the first one of its key, row %d", c.ID, ids[0])
		}
	}
	// A slow handler must not prevent later messages of its key from being kept.
	follower := f.keepIDs(keyed("user-7"))[0]
	f.commit(tx)
	f.must(f.Failures.Promote(f.ctx, billing, "user-7"), "promote")
	f.wantState("promoted after the commit", ids[2], parley.FailureWaiting)
	f.wantState("behind the promoted row", follower, parley.FailureBehind)
}

// One call renews all claims of a process. It must not wait for the slowest handler, nor report its claim as lost.
func renewDoesNotWait[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(2)...)
	claimed := f.claim(2, brief)
	tx := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, tx, claimed[0].FailureClaim), "done within a transaction")
	ctx, cancel := context.WithTimeout(f.ctx, patience/2)
	defer cancel()
	lost, err := f.Failures.Renew(ctx, claimsOf(claimed), lasting)
	f.must(err, "renew beside an open transaction")
	if len(lost) > 0 {
		f.Errorf("renew reports %+v as lost, want none, because their handlers are running", lost)
	}
	if row := f.get(ids[1]); row.DueAt.Sub(row.CreatedAt) < lasting/2 {
		f.Errorf("the other row is due at %v, want about %v from now", row.DueAt, lasting)
	}
	f.commit(tx)
	f.wantListed("after the commit", parley.FailureQuery{}, ids[1])
}

// Inbox and failures may have different consumer names: an identity counts for all of them.
func sweptInboxKeepsTheIdentity[Tx any](f *failureTest[Tx]) {
	once := func(id string) error {
		return f.Inbox.Once(f.ctx, "inbox-of-billing", id, func(context.Context, Tx) error { return nil })
	}
	for _, id := range []string{"id:7", "id:8"} {
		f.must(once(id), "the first delivery of "+id)
	}
	if f.SweepIgnoresFailures {
		return // its users must remember identities for longer than messages wait
	}
	f.keepIDs(parked(identified("id:7")))
	sweep := func(what string) {
		f.Helper()
		n := 0
		eventually(f.T, what, func() bool {
			swept, err := f.Inbox.SweepInbox(f.ctx, "inbox-of-billing", time.Millisecond, 100)
			f.must(err, "sweep the inbox")
			n += swept
			return n > 0
		})
		if n != 1 {
			f.Fatalf("%s: %d identities were swept", what, n)
		}
	}
	sweep("the identity without a failed row is swept")
	if err := once("id:7"); !errors.Is(err, parley.ErrDuplicate) {
		f.Errorf("the identity of a parked message was swept: %v, want ErrDuplicate", err)
	}
	if _, _, err := f.Failures.Drop(f.ctx, parley.FailureQuery{}); err != nil {
		f.Fatalf("drop: %v", err)
	}
	sweep("the identity is swept after its row was deleted")
	f.must(once("id:7"), "after the sweep")
}
