package parleytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley"
)

func keyRacePromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "AppendAndRemoveLeaveNoRowBehind", run: appendAndRemove[Tx]},
		{name: "KeysKeepTheirOrderUnderLoad", run: failedKeysKeepTheirOrder[Tx]},
	}
}

// racers is how many goroutines run races beside each other.
const racers = 4

// One process removes the first row of a key while another one appends to the key. The one that commits last must promote.
func appendAndRemove[Tx any](f *failureTest[Tx]) {
	var wg sync.WaitGroup
	var failed atomic.Bool
	for n := range racers {
		wg.Go(func() {
			r := &keyRace[Tx]{failureTest: f, consumer: fmt.Sprint("racer-", n), key: fmt.Sprint("user-", n)}
			for round := range f.Rounds / racers {
				if failed.Load() || f.ctx.Err() != nil {
					return
				}
				if err := r.round(round); err != nil {
					failed.Store(true)
					f.Errorf("round %d: %v", round, err)
				}
			}
		})
	}
	wg.Wait()
}

// A keyRace removes rows of one key and appends to it.
type keyRace[Tx any] struct {
	*failureTest[Tx]
	consumer, key string
}

func (r *keyRace[Tx]) round(n int) error {
	if err := r.append(); err != nil {
		return err
	}
	first, err := r.claim("a row that is alone")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var removed, appended error
	wg.Go(func() { removed = r.remove(n, first.FailureClaim) })
	appended = r.append()
	wg.Wait()
	if err := errors.Join(removed, appended); err != nil {
		return err
	}
	second, err := r.claim("a row that was appended while the first one was removed")
	if err != nil {
		return err
	}
	return r.Failures.Settle(r.ctx, second.FailureClaim, parley.FailureOutcome{})
}

func (r *keyRace[Tx]) append() error {
	_, err := r.Failures.Keep(r.ctx, r.consumer, []parley.Failure{keyed(r.key)})
	return err
}

// remove ends the first row in one of the ways that make the next one due.
func (r *keyRace[Tx]) remove(n int, c parley.FailureClaim) error {
	switch n % 3 {
	case 0:
		return r.Failures.Settle(r.ctx, c, parley.FailureOutcome{Action: parley.FailureDone})
	case 1:
		return r.Failures.Settle(r.ctx, c, parley.FailureOutcome{Action: parley.FailurePark})
	}
	tx, err := r.Begin(r.ctx)
	if err != nil {
		return err
	}
	if err := r.Failures.DoneIn(r.ctx, tx, c); err != nil {
		_ = r.Rollback(r.ctx, tx)
		return err
	}
	if err := r.Commit(r.ctx, tx); err != nil {
		return err
	}
	return r.Failures.Promote(r.ctx, r.consumer, r.key)
}

// claim claims the only row of the key. A transaction that is just ending may hide it for a moment.
func (r *keyRace[Tx]) claim(what string) (parley.ClaimedFailure, error) {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		o := parley.FailureClaimOptions{Limit: 10, KeyRun: 10, Owner: "w", Lease: lasting}
		claimed, err := r.Failures.Claim(ctx, r.consumer, o)
		if err == nil && len(claimed) == 1 {
			return claimed[0], nil
		}
		if err != nil || len(claimed) > 1 {
			return parley.ClaimedFailure{}, fmt.Errorf("%s: claimed %v, %w", what, claimedIDs(claimed), err)
		}
		select {
		case <-ctx.Done():
			return parley.ClaimedFailure{}, fmt.Errorf("%s is not due", what)
		case <-tick.C:
		}
	}
}

// failedKeysKeepTheirOrder has producers append to keys while workers handle, retry, release and park the rows that they claim.
func failedKeysKeepTheirOrder[Tx any](f *failureTest[Tx]) {
	const keys = 3
	l := &keyLoad[Tx]{failureTest: f, busy: map[string]bool{}, last: map[string]int64{}, ended: map[int64]int{}, total: f.Rounds}
	ctx, cancel := context.WithTimeout(f.ctx, failurePatience*3/4)
	defer cancel()
	var wg sync.WaitGroup
	for n := range keys {
		wg.Go(func() { l.produce(ctx, fmt.Sprint("user-", n), (f.Rounds+n)/keys) })
	}
	for n := range racers {
		wg.Go(func() { l.work(ctx, cancel, 1+n*2) })
	}
	wg.Wait()
	l.check()
}

// A keyLoad checks that no two workers have a row of the same key, and that rows of a key end in their order.
type keyLoad[Tx any] struct {
	*failureTest[Tx]
	total int

	// mu guards the fields below.
	mu       sync.Mutex
	busy     map[string]bool
	last     map[string]int64 // the last row of a key that has ended
	ended    map[int64]int
	problems []string
}

func (l *keyLoad[Tx]) problem(format string, args ...any) {
	if len(l.problems) < 10 {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

func (l *keyLoad[Tx]) produce(ctx context.Context, key string, n int) {
	for range n {
		if _, err := l.Failures.Keep(ctx, billing, []parley.Failure{keyed(key)}); err != nil {
			l.mu.Lock()
			l.problem("keep: %v", err)
			l.mu.Unlock()
			return
		}
	}
}

// work claims runs until all rows have ended, and then cancels the other workers.
func (l *keyLoad[Tx]) work(ctx context.Context, cancel func(), keyRun int) {
	for ctx.Err() == nil {
		o := parley.FailureClaimOptions{Limit: 1, KeyRun: keyRun, Owner: "w", Lease: lasting}
		claimed, err := l.Failures.Claim(ctx, billing, o)
		if err == nil && len(claimed) > 0 {
			err = l.handle(claimed)
		}
		l.mu.Lock()
		if err != nil && ctx.Err() == nil {
			l.problem("work: %v", err)
		}
		if len(l.ended) >= l.total || len(l.problems) > 0 {
			cancel()
		}
		l.mu.Unlock()
	}
}

// handle ends the rows of a run one after another. At the first retry it releases the others.
func (l *keyLoad[Tx]) handle(run []parley.ClaimedFailure) error {
	key := run[0].Key
	l.begin(key, run)
	for i, c := range run {
		action := parley.FailureDone
		switch rand.N(8) {
		case 0:
			action = parley.FailureRetry
		case 1:
			action = parley.FailurePark
		case 2:
			action = parley.FailureRelease
		}
		if action == parley.FailureRetry || action == parley.FailureRelease {
			return l.giveBack(key, run[i:], action)
		}
		l.end(c, i == len(run)-1)
		if err := l.Failures.Settle(l.ctx, c.FailureClaim, parley.FailureOutcome{Action: action}); err != nil {
			return err
		}
	}
	return nil
}

// giveBack ends the first row with action and releases the others, the last one first.
func (l *keyLoad[Tx]) giveBack(key string, run []parley.ClaimedFailure, action parley.FailureAction) error {
	for i := len(run) - 1; i > 0; i-- {
		if err := l.Failures.Settle(l.ctx, run[i].FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease}); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.busy[key] = false
	l.mu.Unlock()
	return l.Failures.Settle(l.ctx, run[0].FailureClaim, parley.FailureOutcome{Action: action})
}

func (l *keyLoad[Tx]) begin(key string, run []parley.ClaimedFailure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[key] {
		l.problem("row %d of key %s was claimed while another worker has rows of this key", run[0].ID, key)
	}
	l.busy[key] = true
	for _, c := range run {
		if c.Key != key {
			l.problem("row %d of key %s came in a run of key %s", c.ID, c.Key, key)
		}
	}
}

// end records the end of a row before it is settled: afterwards another worker may claim the next one.
func (l *keyLoad[Tx]) end(c parley.ClaimedFailure, isLast bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.ID <= l.last[c.Key] {
		l.problem("row %d of key %s ends after row %d", c.ID, c.Key, l.last[c.Key])
	}
	l.last[c.Key] = c.ID
	l.ended[c.ID]++
	if isLast {
		l.busy[c.Key] = false
	}
}

func (l *keyLoad[Tx]) check() {
	for _, p := range l.problems {
		l.Error(p)
	}
	if len(l.ended) != l.total {
		l.Errorf("%d of %d rows have ended, the others are not due", len(l.ended), l.total)
	}
	if st, err := l.Failures.Stats(l.ctx, billing); err != nil || st.Behind != 0 {
		l.Errorf("at the end %d rows are in the state behind, %v", st.Behind, err)
	}
}
