package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// A stormer is one of several workers that run all operations at once on few rows.
type stormer struct {
	failureCase
	t    *testing.T
	ctx  context.Context
	done *atomic.Int64
}

func (s *stormer) step() error {
	switch n := rand.N(10); {
	case n < 3:
		return s.keepSome()
	case n < 8:
		return s.claimSome()
	case n == 8:
		_, err := s.Replay(s.ctx, parley.FailureQuery{Consumer: "mail", States: []parley.FailureState{parley.FailureParked, parley.FailureWaiting}}, time.Microsecond)
		return err
	}
	if rand.N(2) == 0 {
		_, err := s.Sweep(s.ctx, "mail", time.Minute, 100)
		return err
	}
	_, _, err := s.Drop(s.ctx, parley.FailureQuery{States: []parley.FailureState{parley.FailureParked}})
	return err
}

// keepSome keeps failures of few keys and identities in any order, while others keep the same ones.
func (s *stormer) keepSome() error {
	list := make([]parley.Failure, 1+rand.N(6))
	for i := range list {
		list[i] = keyed(fmt.Sprint("k", rand.N(3)), "x")
		list[i].RepeatOf = []byte(fmt.Sprint("repeat", rand.N(20)))
	}
	_, err := s.Keep(s.ctx, "mail", list)
	return err
}

func (s *stormer) claimSome() error {
	rows, err := s.Claim(s.ctx, "mail", parley.FailureClaimOptions{Limit: 3, KeyRun: 4, Owner: "w", Lease: time.Minute, Alone: rand.N(8) == 0})
	for _, r := range rows {
		o := parley.FailureOutcome{Action: parley.FailureAction(rand.N(4)), Holds: rand.N(2) == 0}
		if o.Action == parley.FailureDone && rand.N(2) == 0 {
			err = errors.Join(err, s.doneIn(s.ctx, r.FailureClaim, func() error { return nil }), s.Settle(s.ctx, r.FailureClaim, parley.FailureOutcome{}))
			continue
		}
		err = errors.Join(err, s.Settle(s.ctx, r.FailureClaim, o))
	}
	s.done.Add(int64(len(rows)))
	return err
}

// No transaction waits for a row while it holds another one, so there are no deadlocks, and no held claim is lost.
func TestWorkersAndOperatorsOnFewKeysDoNotDeadlock(t *testing.T) {
	testenv.Long(t, "it works for 10 seconds on each driver")
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		var done atomic.Int64
		var wg sync.WaitGroup
		end := time.Now().Add(10 * time.Second)
		for range 8 {
			s := &stormer{failureCase: f, t: t, ctx: context.WithoutCancel(t.Context()), done: &done}
			wg.Go(func() {
				for time.Now().Before(end) {
					if err := s.step(); err != nil {
						t.Errorf("while others run: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n := f.text(t, "SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()"); n != "0" {
			t.Errorf("the server has ended %s deadlocks", n)
		}
		if done.Load() == 0 {
			t.Error("no row was claimed")
		}
		drainFailures(t, f)
	})
}

// drainFailures handles the remaining rows: no row may stay behind after its predecessor is gone.
func drainFailures(t *testing.T, f failureCase) {
	t.Helper()
	if _, err := f.Replay(t.Context(), parley.FailureQuery{}, 0); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		rows := f.claim(t, parley.FailureClaimOptions{Limit: 10, KeyRun: 10})
		rows = append(rows, f.claim(t, parley.FailureClaimOptions{Alone: true})...)
		for _, r := range rows {
			f.settle(t, r.FailureClaim, parley.FailureOutcome{})
		}
		if len(rows) == 0 {
			break
		}
	}
	if left := f.states(t); left != "" {
		t.Errorf("rows remain that cannot be claimed: %s", left)
	}
}
