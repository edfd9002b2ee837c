package parley

import (
	"context"
	"slices"
	"sync"
	"time"
)

// keyChecks ask the failure store whether ordering keys have rows. Checks that start while a query runs share the next query.
type keyChecks struct {
	store    FailureStore
	consumer string

	mu      sync.Mutex // guards the fields below
	waiting []keyCheck
	running bool
}

type keyCheck struct {
	key    string
	answer chan keyAnswer
}

type keyAnswer struct {
	rows bool
	err  error
	lead bool // no answer yet: the receiver runs the next query
}

// hasRows reports whether the key has rows that a new delivery must be put behind.
func (k *keyChecks) hasRows(ctx context.Context, key string) (bool, error) {
	answer := make(chan keyAnswer, 1)
	k.mu.Lock()
	k.waiting = append(k.waiting, keyCheck{key, answer})
	leads := !k.running
	k.running = true
	k.mu.Unlock()
	if leads {
		k.query(ctx)
	}
	for {
		select {
		case a := <-answer:
			if !a.lead {
				return a.rows, a.err
			}
			k.query(ctx)
		case <-ctx.Done():
			k.leave(answer)
			return false, ctx.Err()
		}
	}
}

// leave removes a check that its caller has given up. If it was to run the next query, another check runs it: otherwise none would.
func (k *keyChecks) leave(answer chan keyAnswer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = slices.DeleteFunc(k.waiting, func(c keyCheck) bool { return c.answer == answer })
	select {
	case a := <-answer:
		if a.lead {
			k.passLead()
		}
	default:
	}
}

// passLead makes the first waiting check run the next query. k.mu is held.
func (k *keyChecks) passLead() {
	k.running = len(k.waiting) > 0
	if k.running {
		k.waiting[0].answer <- keyAnswer{lead: true}
	}
}

// query answers all waiting checks, then makes one of the checks added meanwhile run the next query.
func (k *keyChecks) query(ctx context.Context) {
	k.mu.Lock()
	asked := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	keys := make([]string, 0, len(asked))
	for _, a := range asked {
		if !slices.Contains(keys, a.key) {
			keys = append(keys, a.key)
		}
	}
	rows, err := k.store.KeysWithRows(ctx, k.consumer, keys)
	for _, a := range asked {
		a.answer <- keyAnswer{rows: rows[a.key], err: err}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passLead()
}

// behind decides on an ordered delivery. While its key has rows it is stored behind them and acked, and occupies no prefetch.
func (r *rowSource) behind(j *job) verdict {
	rows, err := r.keys.hasRows(r.s.hard, j.key)
	switch {
	case err != nil:
		r.c.cfg.Logger.Warn("consumer: looking for earlier failures of an ordering key failed, retrying", r.c.attrs(j.d, err)...)
		return verdict{action: actPostpone, wait: spread(time.Second)}
	case rows:
		return verdict{action: actAppend}
	}
	return verdict{}
}
