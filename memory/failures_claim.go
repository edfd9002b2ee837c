package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// Claim takes due rows; see [parley.FailureStore].
func (f *Failures) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Limit < 1 || o.KeyRun < 1 || o.Lease <= 0 {
		return nil, fmt.Errorf("memory: claim failed deliveries: limit %d, key run %d and lease %v must be positive", o.Limit, o.KeyRun, o.Lease)
	}
	if o.Alone {
		o.Limit, o.KeyRun = 1, 1
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	c := f.consumers[consumer]
	if c == nil {
		return nil, nil
	}
	p := &claimer{table: f, consumer: c, FailureClaimOptions: o, now: time.Now()}
	p.Owner = parley.CleanText(o.Owner, 64)
	p.claimDue()
	p.claimAhead()
	return p.taken, errors.Join(p.errs...)
}

// A claimer collects the rows of one call of Claim.
type claimer struct {
	table    *Failures
	consumer *failures
	parley.FailureClaimOptions
	now    time.Time
	firsts int // rows that count towards Limit
	bytes  int
	full   bool
	taken  []parley.ClaimedFailure
	errs   []error
}

// claimDue takes rows from the top of the heap.
func (p *claimer) claimDue() {
	var skipped []*failure
	for !p.isFull() && len(p.consumer.due) > 0 && !p.consumer.due[0].DueAt.After(p.now) {
		r := p.consumer.due[0]
		switch {
		case r.remover == nil && !r.isFirst():
			// The rest of a run whose lease has ended: the first row is claimed, or waits.
			p.table.clear(r)
			r.State = parley.FailureBehind
			p.table.promote(r.key) // the first row may have been replayed while this one was running
		case !p.wants(r):
			p.consumer.due.remove(r)
			skipped = append(skipped, r)
		default:
			p.takeRun(r)
		}
	}
	for _, r := range skipped {
		p.consumer.due.add(r)
	}
}

// claimAhead takes running rows whose claim lasts too long, because it was made with a clock that was ahead.
func (p *claimer) claimAhead() {
	var free []*failure
	for r := range p.consumer.running {
		if r.DueAt.After(p.now.Add(2 * p.Lease)) {
			free = append(free, r)
		}
	}
	slices.SortFunc(free, func(a, b *failure) int { return cmp.Compare(a.ID, b.ID) })
	for _, r := range free {
		if !p.isFull() && r.isFirst() && p.wants(r) {
			p.takeRun(r)
		}
	}
}

func (p *claimer) isFull() bool { return p.full || p.firsts >= p.Limit }

// wants reports whether this call may take the row.
func (p *claimer) wants(r *failure) bool {
	return r.remover == nil && (r.Begun >= parley.SuspectAfter) == p.Alone
}

func (r *failure) isFirst() bool { return r.key == nil || r.key.first == r }

// takeRun takes a row and the rows behind it, unless there is no room for its body.
func (p *claimer) takeRun(r *failure) {
	if p.full = !p.fits(r); p.full {
		return
	}
	p.firsts++
	p.take(r)
	if r.key == nil {
		return
	}
	for n := 1; n < p.KeyRun; n++ {
		r = r.next
		if r == nil || !p.wants(r) || !p.isFree(r) {
			return
		}
		if p.full = !p.fits(r); p.full {
			return
		}
		p.take(r)
	}
}

func (p *claimer) fits(r *failure) bool {
	return p.MaxBytes <= 0 || len(p.taken) == 0 || p.bytes+len(r.body) <= p.MaxBytes
}

// isFree reports whether a row behind the first one may be claimed with it.
func (p *claimer) isFree(r *failure) bool {
	switch r.State {
	case parley.FailureBehind:
		return true
	case parley.FailureRunning:
		return !r.DueAt.After(p.now) || r.DueAt.After(p.now.Add(2*p.Lease))
	}
	return false
}

func (p *claimer) take(r *failure) {
	m, err := r.message(true)
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("memory: claim failed delivery %d: %w", r.ID, err))
	}
	p.bytes += len(r.body)
	r.claim++
	r.Begun++
	p.table.run(r, p.Owner, p.now.Add(p.Lease))
	p.taken = append(p.taken, parley.ClaimedFailure{
		FailureClaim: parley.FailureClaim{ID: r.ID, Number: r.claim, Consumer: r.Consumer, Key: r.Key},
		Message:      m, History: r.History, Begun: r.Begun,
	})
}

// claimed returns the row if the claim is valid.
func (f *Failures) claimed(c parley.FailureClaim) *failure {
	r := f.rows[c.ID]
	if r == nil || r.claim != c.Number || r.State != parley.FailureRunning {
		return nil
	}
	return r
}

// Renew extends claims; see [parley.FailureStore].
func (f *Failures) Renew(ctx context.Context, claims []parley.FailureClaim, lease time.Duration) (lost []parley.FailureClaim, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	due := time.Now().Add(lease)
	for _, c := range claims {
		r := f.claimed(c)
		if r == nil {
			lost = append(lost, c)
			continue
		}
		r.DueAt = due
		f.consumers[r.Consumer].due.moved(r)
	}
	return lost, nil
}

// Settle ends a claim; see [parley.FailureStore]. It waits for a transaction that has deleted the row.
func (f *Failures) Settle(ctx context.Context, c parley.FailureClaim, o parley.FailureOutcome) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	r := f.claimed(c)
	for r != nil && r.remover != nil {
		if err := f.store.wait(ctx); err != nil {
			return err
		}
		r = f.claimed(c)
	}
	if r == nil {
		if f.rows[c.ID] == nil && o.Action == parley.FailureDone {
			return nil
		}
		return parley.ErrClaimLost
	}
	return f.settle(r, o)
}

func (f *Failures) settle(r *failure, o parley.FailureOutcome) error {
	switch o.Action {
	case parley.FailureDone:
		f.remove(r)
	case parley.FailureRetry:
		f.note(r, o)
		f.place(r, time.Now().Add(o.After))
	case parley.FailurePark:
		f.note(r, o)
		f.park(r, o.Holds)
	case parley.FailureRelease:
		r.Begun--
		f.place(r, time.Now())
	default:
		return fmt.Errorf("memory: settle failed delivery %d: unknown action %d", r.ID, o.Action)
	}
	return nil
}

// note writes the result of an attempt.
func (f *Failures) note(r *failure, o parley.FailureOutcome) {
	r.History, r.Fingerprint, r.Begun = cleanHistory(o.History), o.Fingerprint, 0
}

// SharesTx reports whether inbox is the store of this table; see [parley.FailureTx].
func (f *Failures) SharesTx(inbox parley.InboxStore[*Tx]) bool {
	s, ok := inbox.(*Store)
	return ok && s == f.store
}

// DoneIn deletes a claimed row within tx; see [parley.FailureTx].
func (f *Failures) DoneIn(ctx context.Context, tx *Tx, c parley.FailureClaim) error {
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if err := tx.usable(ctx); err != nil {
		return err
	}
	r := f.claimed(c)
	for r != nil && r.remover != nil && r.remover != tx {
		if err := tx.waitFor(ctx, r.remover); err != nil {
			return err
		}
		r = f.claimed(c)
	}
	if r == nil || r.remover == tx {
		return parley.ErrClaimLost
	}
	r.remover = tx
	tx.removed = append(tx.removed, r)
	return nil
}

// Promote makes the first row of a key due; see [parley.FailureTx].
func (f *Failures) Promote(ctx context.Context, consumer, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if c := f.consumers[consumer]; c != nil && c.keys[key] != nil {
		f.promote(c.keys[key])
	}
	return nil
}
