package parley

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// A rowClaim links a delivery to its claimed row of the failure store.
type rowClaim struct {
	FailureClaim
	store   FailureStore
	run     *keyRun
	deleted atomic.Bool // its handler's transaction has deleted it and committed
	lost    atomic.Bool // another process has claimed it
}

// isLost reports whether another process has claimed the row, or the row is gone.
func (r *rowClaim) isLost(err error) bool { return r.lost.Load() || errors.Is(err, ErrClaimLost) }

// A keyRun is a run of rows of one ordering key that were claimed together. When one of them has to wait, the rows behind it must
// not be handled before it.
type keyRun struct{ broken atomic.Bool }

// A rowSource passes due rows of the failure store to a session's scheduler, as jobs under their own exchange and
// routing key. It renews their claims, and releases rows that the session does not handle.
type rowSource struct {
	s     *session
	c     *Consumer
	store patientStore
	keys  keyChecks
	early chan struct{} // has an item when a row may be due earlier than expected

	mu     sync.Mutex // guards the fields below
	claims map[*job]*claimed
}

// A claimed row is in hand until it is settled.
type claimed struct {
	running bool
	from    time.Time               // before the request of its claim, or of the last renewal
	abort   context.CancelCauseFunc // of the running attempt
}

// The times of claims. When a process dies its rows are due again after the lease. The renewal interval leaves room for two failures.
const (
	rowLease      = 30 * time.Second
	renewInterval = 10 * time.Second
	keyRunLimit   = 20 // after two crashes each row of a run is a suspect and runs alone
)

// Without wake-ups the store is polled for the next due time, less often while it has no rows.
const (
	rowPoll      = time.Second
	rowPollEmpty = 5 * time.Second
)

func newRowSource(s *session) *rowSource {
	return &rowSource{
		s: s, c: s.c, store: patientStore{s.c.cfg.Failures}, claims: map[*job]*claimed{}, early: make(chan struct{}, 1),
		keys: keyChecks{store: patientStore{s.c.cfg.Failures}, consumer: s.c.cfg.Name},
	}
}

// startRows starts claiming, renewing and sweeping. The returned function ends the renewal, once the handlers have
// returned, and releases rows that were not begun.
func (s *session) startRows() (stop func()) {
	if s.rows == nil {
		return func() {}
	}
	r := s.rows
	// Claims are renewed until their handlers have returned, which may be after the end of the session.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.live))
	var wg sync.WaitGroup
	if !s.probing {
		wg.Go(r.feed)
		wg.Go(r.sweep)
	}
	wg.Go(func() { r.renew(ctx) })
	return func() {
		cancel()
		wg.Wait()
		r.releaseAll()
	}
}

// feed claims due rows while the session lives and the kill switch is closed.
func (r *rowSource) feed() {
	ctx := r.s.live
	failures := backoff{first: time.Second, limit: 10 * time.Second}
	for ctx.Err() == nil {
		wait, err := r.claim(ctx)
		if err != nil && ctx.Err() == nil {
			r.c.cfg.Logger.Warn("consumer: claiming failed deliveries failed, retrying", "consumer", r.c.cfg.Name, "err", err)
			wait = failures.next()
		} else {
			failures.reset()
		}
		r.sleep(ctx, wait)
	}
}

// sleep waits for d, or until a row may be due.
func (r *rowSource) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-r.early:
	case <-t.C:
	}
}

func (r *rowSource) wake() {
	select {
	case r.early <- struct{}{}:
	default: // feed is about to check anyway
	}
}

// claim takes as many due rows as there is room for. It returns how long to wait before the next claim.
func (r *rowSource) claim(ctx context.Context) (time.Duration, error) {
	room := r.s.scheduler.roomForRows()
	if room == 0 || r.c.kill.cause() != nil {
		return rowPoll, nil
	}
	jobs, err := r.take(ctx, r.options(room, false))
	if err != nil {
		return 0, err
	}
	for _, j := range jobs {
		r.s.scheduler.dispatch(j)
	}
	if len(jobs) >= room {
		return 0, nil
	}
	wait, ok, err := r.store.NextDue(ctx, r.c.cfg.Name)
	if err != nil {
		return 0, err
	}
	if !ok {
		return rowPollEmpty, nil
	}
	if wait <= 0 && len(jobs) == 0 {
		r.claimSuspect(ctx)
		return rowPoll / 4, nil
	}
	return min(max(wait, time.Millisecond), rowPoll), nil
}

// claimSuspect claims a row that may crash the process, and has it handled with nothing else in hand. It is called when a due row
// was not claimed: the row is such a suspect, or another process holds it.
func (r *rowSource) claimSuspect(ctx context.Context) {
	if !r.suspectDue(ctx) {
		return
	}
	r.s.scheduler.runAlone(alonePatience, func() *job {
		jobs, err := r.take(ctx, r.options(1, true))
		if err != nil || len(jobs) == 0 {
			return nil // feed gets the error too, and logs it
		}
		return jobs[0]
	})
}

// suspectDue reports whether a suspect can be claimed. Otherwise another session holds the due row, perhaps for long: its handler has
// deleted it in an open transaction. Nothing must stop for it.
func (r *rowSource) suspectDue(ctx context.Context) bool {
	rows, err := r.store.Claim(ctx, r.c.cfg.Name, r.options(1, true))
	for i := range rows {
		if err := r.store.Settle(ctx, rows[i].FailureClaim, FailureOutcome{Action: FailureRelease}); err != nil {
			return false // it is due again when its lease ends
		}
	}
	return err == nil && len(rows) > 0
}

// claimProbe dispatches one due row as the probe. It returns false if no row is due.
func (r *rowSource) claimProbe(ctx context.Context) bool {
	jobs, err := r.take(ctx, FailureClaimOptions{Limit: 1, KeyRun: 1, Owner: owner(), Lease: rowLease})
	if err != nil || len(jobs) == 0 {
		return false // the database fails, or no row is due: consumption stays paused
	}
	r.s.scheduler.dispatch(jobs[0])
	return true
}

func (r *rowSource) options(limit int, alone bool) FailureClaimOptions {
	o := FailureClaimOptions{Limit: limit, KeyRun: keyRunLimit, MaxBytes: r.s.scheduler.bytesLeft(), Owner: owner(), Lease: rowLease, Alone: alone}
	if alone {
		o.KeyRun = 1
	}
	return o
}

// owner names this process for operators who inspect the table.
var owner = sync.OnceValue(func() string {
	host, _ := os.Hostname()
	return CleanText(fmt.Sprintf("%.40s/%d", host, os.Getpid()), 64)
})

// take claims due rows, makes jobs of them and registers their claims.
func (r *rowSource) take(ctx context.Context, o FailureClaimOptions) ([]*job, error) {
	from := time.Now()
	rows, err := r.store.Claim(ctx, r.c.cfg.Name, o)
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		_ = failpoint.Hit("consumer.claimed")
	}
	runs := map[string]*keyRun{}
	out := make([]*job, len(rows))
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rows {
		run := runs[rows[i].Key]
		if run == nil || rows[i].Key == "" {
			run = &keyRun{}
			runs[rows[i].Key] = run
		}
		out[i] = r.c.rowJob(&rows[i], r.c.cfg.Failures, run)
		r.claims[out[i]] = &claimed{from: from}
	}
	return out, nil
}

// rowJob makes a job of a claimed row.
func (c *Consumer) rowJob(row *ClaimedFailure, store FailureStore, run *keyRun) *job {
	d := NewDelivery(row.Message, c.cfg.Queue, true, nil)
	d.history, d.keyRules = row.History, c.cfg.KeyRules
	d.Attempt = row.History.Attempts + 1
	d.row = &rowClaim{FailureClaim: row.FailureClaim, store: store, run: run}
	j := &job{d: d, row: d.row}
	if err := restore(d, c.secrets); err != nil {
		j.verdict = verdict{action: actPark, err: err}
		return j
	}
	c.address(j)
	if row.Key != "" {
		j.key = row.Key
	}
	if limit := c.cfg.PoisonLimit; limit > 0 && row.Begun >= limit {
		j.verdict = verdict{action: actPark, err: fmt.Errorf("%w: begun %d times", errRedelivered, row.Begun)}
	}
	return j
}

// sweep deletes old rows and promotes keys until the session ends.
func (r *rowSource) sweep() {
	for ctx := r.s.live; ctx.Err() == nil; {
		n, err := r.store.Sweep(ctx, r.c.cfg.Name, r.c.cfg.FailureRetention, sweepLimit)
		if err != nil && ctx.Err() == nil {
			r.c.cfg.Logger.Warn("consumer: sweeping failed deliveries failed", "consumer", r.c.cfg.Name, "err", err)
		}
		pause := 100 * time.Millisecond
		if n < sweepLimit {
			pause = 30*time.Second + jitter(time.Minute)
		}
		sleep(ctx, pause)
	}
}

// waitEmpty blocks until no row is due now or later and nothing is in hand.
func (r *rowSource) waitEmpty(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, err := r.store.Sweep(ctx, r.c.cfg.Name, 0, sweepLimit); err != nil {
			return err
		}
		_, waiting, err := r.store.NextDue(ctx, r.c.cfg.Name)
		if err != nil {
			return err
		}
		if !waiting && r.s.scheduler.isIdle() {
			return nil
		}
		sleep(ctx, 200*time.Millisecond)
	}
	return nil
}
