package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Relay moves records from an outbox to a broker. A record is removed only after
// the broker has accepted it, so a crash at any point repeats at most one batch
// and loses nothing. Any number of relays may run on one outbox; see [RelayMode].
type Relay struct {
	source RelaySource
	pub    Publisher
	cfg    RelayConfig

	state    atomic.Value // RelayState
	watching atomic.Bool  // wake-ups arrive
	// The fields below belong to the goroutine of Run.
	limit      int                   // batch size, smaller while the broker is slow
	late       time.Duration         // how long to wait for due records that others have locked
	owed       []int64               // accepted by the broker, not yet deleted
	rejected   map[string]*rejection // exchanges whose queues are full
	unroutable map[string]time.Time  // when we last warned
	ahead      *aheadClaim           // the batch after this one, or nil
	next       nextDue
}

// nextDue is when the next scheduled record is due, as the last batch has learnt it.
type nextDue struct {
	wait      time.Duration
	since     time.Time
	ok, known bool
}

type rejection struct {
	backoff
	until time.Time
}

// UnroutablePolicy says what becomes of a record that no queue takes.
type UnroutablePolicy int

const (
	// UnroutableDefault drops events and parks commands, calls and replies.
	UnroutableDefault UnroutablePolicy = iota
	// UnroutableDrop removes the record, as publish/subscribe means it: nobody listens. It is counted and warned about.
	UnroutableDrop
	// UnroutablePark sets the record aside, to be replayed when the queue is bound.
	UnroutablePark
	// UnroutableRetry keeps the record in the outbox and tries again with backoff.
	// Later records of the same exchange wait.
	UnroutableRetry
)

// RelayConfig holds the choices for a relay.
type RelayConfig struct {
	// Mode says how several relays share the outbox. Default: ModeOrdered.
	Mode RelayMode
	// BatchSize is how many records are published and deleted together, and so the
	// bound of what a crash can repeat. Default: 1000.
	BatchSize int
	// MaxBytes bounds the bodies of a batch together, in bytes: a backlog of large messages must not use up
	// the memory. A larger body is a batch of its own. Default: 64 MiB.
	MaxBytes int
	// PollInterval is how often the relay looks for due records when nothing wakes it. Default: 1s.
	PollInterval time.Duration
	// StandbyInterval is how often a standing-by relay tries to become the active one. Default: 1s.
	StandbyInterval time.Duration
	// HoldLimit is how long a database transaction may wait for the broker. Default: 5s.
	HoldLimit time.Duration
	// Grace is how long a stop waits for the batch in hand. Default: 25s.
	Grace time.Duration
	// Unroutable says what becomes of records that no queue takes.
	Unroutable UnroutablePolicy
	// Topology is declared, or checked, before the first publication. Default: nothing;
	// drivers look after the exchange of each record by themselves.
	Topology Topology
	// Hooks observe the relay.
	Hooks RelayHooks
	// Logger gets what the operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// NewRelay returns a relay from source to pub. It starts nothing; see Run.
func NewRelay(source RelaySource, pub Publisher, cfg *RelayConfig) (*Relay, error) {
	r := &Relay{source: source, pub: pub, rejected: map[string]*rejection{}, unroutable: map[string]time.Time{}}
	if cfg != nil {
		r.cfg = *cfg
	}
	if err := r.cfg.complete(); err != nil {
		return nil, err
	}
	r.limit = r.cfg.BatchSize
	r.state.Store(RelayStarting)
	return r, nil
}

func (c *RelayConfig) complete() error {
	var errs []error
	setDefault(&c.BatchSize, 1000, "RelayConfig.BatchSize", &errs)
	setDefault(&c.MaxBytes, 64<<20, "RelayConfig.MaxBytes", &errs)
	setDefault(&c.PollInterval, time.Second, "RelayConfig.PollInterval", &errs)
	setDefault(&c.StandbyInterval, time.Second, "RelayConfig.StandbyInterval", &errs)
	setDefault(&c.HoldLimit, 5*time.Second, "RelayConfig.HoldLimit", &errs)
	setDefault(&c.Grace, 25*time.Second, "RelayConfig.Grace", &errs)
	if c.Mode != ModeOrdered && c.Mode != ModeParallel {
		errs = append(errs, fmt.Errorf("parley: RelayConfig.Mode %d is not known: use ModeOrdered or ModeParallel", c.Mode))
	}
	if c.Unroutable < UnroutableDefault || c.Unroutable > UnroutableRetry {
		errs = append(errs, fmt.Errorf("parley: RelayConfig.Unroutable %d is not known", int(c.Unroutable)))
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return errors.Join(errs...)
}

// setDefault fills in a zero value and reports a negative one.
func setDefault[N int | time.Duration](v *N, def N, name string, errs *[]error) {
	if *v < 0 {
		*errs = append(*errs, fmt.Errorf("parley: %s must not be negative", name))
	}
	if *v == 0 {
		*v = def
	}
}

// State tells what the relay is doing.
func (r *Relay) State() RelayState { return r.state.Load().(RelayState) }

func (r *Relay) setState(s RelayState) {
	if r.state.Swap(s) != s && r.cfg.Hooks.State != nil {
		r.cfg.Hooks.State(s)
	}
}

// Run moves records until ctx is cancelled, then finishes the batch in hand and
// returns nil. It waits, with backoff, while the database or the broker is away.
func (r *Relay) Run(ctx context.Context) error {
	hard, cancel := graceful(ctx, r.cfg.Grace)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer r.setState(RelayStopped)
	wake := make(chan struct{}, 1)
	wg.Go(func() { r.watch(ctx, wake) })

	defer r.dropAhead(hard)
	retry := backoff{first: 100 * time.Millisecond, limit: 10 * time.Second}
	if err := r.declare(ctx, &retry); err != nil {
		return err
	}
	for ctx.Err() == nil {
		more, err := r.step(ctx, hard)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrStandby):
			r.setState(RelayStandby)
			retry.reset()
			sleep(ctx, r.cfg.StandbyInterval/2+jitter(r.cfg.StandbyInterval))
		case err != nil:
			r.report("relay: waits after an error", err)
			retry.wait(ctx)
		default:
			retry.reset()
			if !more {
				r.idle(ctx, wake)
			}
		}
	}
	return r.settleOwed(hard)
}

// Drain moves the records that are due and returns how many it moved. It returns
// on the first error, ErrStandby among them, and when nothing is due any more.
func (r *Relay) Drain(ctx context.Context) (int, error) {
	defer r.dropAhead(context.WithoutCancel(ctx))
	moved := 0
	for {
		b, err := r.batch(ctx, ctx)
		moved += b.Accepted
		if err != nil || b.Records == 0 {
			return moved, errors.Join(err, r.settleOwed(ctx))
		}
		if b.Accepted+b.Unroutable+b.Refused == 0 {
			return moved, fmt.Errorf("parley: drain outbox: %d records: %w", b.Records, errNoProgress(b))
		}
	}
}

func errNoProgress(b BatchReport) error {
	if b.Unknown > 0 {
		return ErrUnknown
	}
	return ErrRejected
}

// step moves one batch; more says that there may be another one at once.
func (r *Relay) step(ctx, hard context.Context) (more bool, err error) {
	b, err := r.batch(ctx, hard)
	if err != nil {
		return false, err
	}
	if b.Unknown > 0 {
		return false, fmt.Errorf("publish %d records: %w", b.Unknown, ErrUnknown)
	}
	// What comes after a part of a batch wakes the relay, unless nothing does.
	return b.Full || b.Records > 0 && !r.watching.Load(), nil
}

// idle waits until records may be due: a wake-up, the next due time, or the poll.
func (r *Relay) idle(ctx context.Context, wake <-chan struct{}) {
	wait := r.cfg.PollInterval
	due, ok, err := r.untilNextDue(ctx)
	if err != nil && ctx.Err() == nil {
		r.report("relay: asks for the next due time", err)
	}
	floor := time.Millisecond
	if len(r.rejected) > 0 {
		// The next due record may be one of an exchange that is left alone for now.
		floor = 100 * time.Millisecond
	}
	if err == nil && ok {
		wait = min(wait, due)
	}
	if err == nil && ok && due <= 0 {
		// Nothing was claimed, but a record is due: somebody else has locked it, perhaps for long.
		r.late = min(2*max(r.late, floor), 100*time.Millisecond)
		floor = r.late
	} else {
		r.late = 0
	}
	for _, held := range r.rejected {
		wait = min(wait, time.Until(held.until))
	}
	t := time.NewTimer(max(wait, floor))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// untilNextDue tells how long it is until the next scheduled record is due. The last batch may have learnt it.
func (r *Relay) untilNextDue(ctx context.Context) (wait time.Duration, ok bool, err error) {
	next := r.next
	r.next = nextDue{}
	if next.known {
		return next.wait - time.Since(next.since), next.ok, nil
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return r.source.NextDue(ctx)
}

// watch lets the source wake the relay, for ever: without wake-ups it still polls.
func (r *Relay) watch(ctx context.Context, wake chan<- struct{}) {
	waker, ok := r.source.(RelayWaker)
	if !ok {
		return
	}
	retry := backoff{first: time.Second, limit: 10 * time.Second}
	for ctx.Err() == nil {
		err := waker.Watch(ctx, func() {
			r.watching.Store(true)
			select {
			case wake <- struct{}{}:
			default: // a wake-up is waiting already; one is enough
			}
		})
		r.watching.Store(false)
		if ctx.Err() == nil {
			if err != nil {
				r.report("relay: no wake-ups, polls instead", err)
			}
			retry.wait(ctx)
		}
	}
}

// declare makes the topology, waiting for the broker as long as it takes.
func (r *Relay) declare(ctx context.Context, retry *backoff) error {
	t := r.cfg.Topology
	declarer, ok := r.pub.(Declarer)
	if len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 {
		return nil
	}
	if !ok {
		return errors.New("parley: RelayConfig.Topology is set, but the publisher cannot declare")
	}
	for {
		err := declarer.Declare(ctx, t)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if _, conflict := errors.AsType[*TopologyError](err); conflict {
			// One wrong exchange must not hold up the others: its records are refused one by one.
			r.report("relay: topology differs from the broker", err)
			return nil
		}
		r.report("relay: declares its topology", err)
		retry.wait(ctx)
	}
}

func (r *Relay) report(what string, err error) {
	if r.cfg.Hooks.Err != nil {
		r.cfg.Hooks.Err(err)
	}
	r.cfg.Logger.Warn(what, "err", err)
}

// graceful returns a context that outlives ctx by at most grace.
func graceful(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer atomic.Pointer[time.Timer]
	stop := context.AfterFunc(ctx, func() { timer.Store(time.AfterFunc(grace, cancel)) })
	return hard, func() {
		stop()
		if t := timer.Load(); t != nil {
			t.Stop()
		}
		cancel()
	}
}
