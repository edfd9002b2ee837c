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

// A Relay moves records from an outbox to a broker. A record is deleted only after
// the broker has confirmed it, so a crash at any point repeats at most one batch
// and loses nothing. Any number of relays may run on one outbox; see [RelayMode].
type Relay struct {
	source RelaySource
	pub    Publisher
	cfg    RelayConfig

	state    atomic.Value              // RelayState
	watching atomic.Bool               // wake-ups arrive
	flag     atomic.Pointer[SleepFlag] // nil unless wake-ups have to be requested
	noTables atomic.Pointer[time.Time] // when missing tables were last logged
	// The fields below belong to the goroutine of Run.
	limit              int                   // batch size, smaller while the broker is slow
	late               time.Duration         // how long to wait for due records that another session has locked
	confirmedUndeleted []SentRecord          // confirmed by the broker, not yet deleted
	blocked            blockedSince          // due records that another session has locked
	rejected           map[string]*rejection // exchanges whose queues are full
	heldAt             time.Time             // when the held exchanges of the last claim were collected
	routes             routes                // what the outcomes told about addresses
	ahead              *aheadClaim           // the batch claimed ahead, or nil
	next               nextDue
	sleepy             sleepiness
}

// nextDue is the due time of the next scheduled record, as read with the last batch.
type nextDue struct {
	wait      time.Duration
	since     time.Time
	ok, known bool
}

type rejection struct {
	backoff
	until time.Time
	why   error // ErrRejected, or ErrUnroutable while it is in doubt; nil if the policy keeps unroutable records
}

// UnroutablePolicy says what happens to a record that no queue is bound for. It applies at once to an address that has taken no message
// since the relay started. Otherwise the record is retried for 10 seconds first: nodes of a RabbitMQ cluster can report bound
// exchanges as unroutable for a moment after a partition.
type UnroutablePolicy int

const (
	// UnroutableDefault drops events and parks commands, calls and replies.
	UnroutableDefault UnroutablePolicy = iota
	// UnroutableDrop deletes the record, as publish/subscribe has no subscriber then. It is counted and logged as a warning.
	UnroutableDrop
	// UnroutablePark parks the record, to be replayed when a queue is bound.
	UnroutablePark
	// UnroutableRetry keeps the record in the outbox and retries with backoff.
	// Later records of the same exchange wait.
	UnroutableRetry
)

// RelayConfig holds the choices for a relay.
type RelayConfig struct {
	// Mode says how several relays share the outbox. Default: RelayModeOrdered.
	Mode RelayMode
	// BatchSize is how many records are published and deleted together. A crash
	// repeats at most this many. Default: 1000.
	BatchSize int
	// MaxBytes bounds the total size of the bodies of a batch, in bytes, so that a backlog of large messages does not
	// exhaust the memory. A larger body is sent in a batch of its own. Default: 64 MiB.
	MaxBytes int
	// PollInterval is how often the relay looks for due records when nothing wakes it. Default: 1s.
	PollInterval time.Duration
	// StandbyInterval is how often a standby relay tries to become the active one. A relay that has lost the lead
	// waits at least this long before it tries again. Default: 1s.
	StandbyInterval time.Duration
	// HoldLimit is how long a database transaction may wait for the broker. Default: 5s.
	HoldLimit time.Duration
	// ShutdownTimeout is how long a stop waits for the batch in hand. Default: 25s.
	ShutdownTimeout time.Duration
	// Unroutable says what happens to records that no queue is bound for.
	Unroutable UnroutablePolicy
	// Topology is declared, or checked, before the first publication. Default: nothing;
	// drivers declare or check the exchange of each record.
	Topology Topology
	// Control tells the relay what operators have paused. Records of a paused exchange stay in the outbox, in their order. Default:
	// none; nothing can be paused.
	Control *Control
	// Hooks observe the relay.
	Hooks RelayHooks
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// NewRelay returns a relay from source to pub. It starts nothing; see Run.
func NewRelay(source RelaySource, pub Publisher, cfg *RelayConfig) (*Relay, error) {
	r := &Relay{source: source, pub: pub, rejected: map[string]*rejection{}}
	if cfg != nil {
		r.cfg = *cfg
	}
	err := r.cfg.complete()
	if isNil(source) {
		err = errors.Join(err, errors.New("parley: NewRelay: the source must not be nil"))
	}
	if isNil(pub) {
		err = errors.Join(err, errors.New("parley: NewRelay: the publisher must not be nil"))
	}
	if err != nil {
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
	setDefault(&c.ShutdownTimeout, 25*time.Second, "RelayConfig.ShutdownTimeout", &errs)
	if c.Mode != RelayModeOrdered && c.Mode != RelayModeParallel {
		errs = append(errs, fmt.Errorf("parley: RelayConfig.Mode %d is unknown: use RelayModeOrdered or RelayModeParallel", c.Mode))
	}
	if c.Unroutable < UnroutableDefault || c.Unroutable > UnroutableRetry {
		errs = append(errs, fmt.Errorf("parley: RelayConfig.Unroutable %d is unknown", int(c.Unroutable)))
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

// State returns what the relay is doing.
func (r *Relay) State() RelayState { return r.state.Load().(RelayState) }

func (r *Relay) setState(s RelayState) {
	if r.state.Swap(s) != s && r.cfg.Hooks.State != nil {
		r.cfg.Hooks.State(s)
	}
}

// Run moves records until ctx is cancelled, then finishes the batch in hand and
// returns nil. It retries with backoff while the database or broker is unreachable.
func (r *Relay) Run(ctx context.Context) error {
	hard, cancel := graceful(ctx, r.cfg.ShutdownTimeout)
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
	wg.Go(func() { _ = r.cfg.Control.Run(ctx) }) // it returns nil
	r.cfg.Control.ready(ctx)
	wg.Go(func() { r.wakeOnChange(ctx, wake) })
	for ctx.Err() == nil {
		if r.awaitResume(ctx, hard); ctx.Err() != nil {
			break
		}
		more, err := r.step(ctx, hard)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrStandby):
			retry.reset()
			r.lowerFlag(ctx)
			r.standBy(ctx)
		case err != nil:
			r.lowerFlag(ctx)
			r.report("relay: batch failed, backing off", err)
			retry.wait(ctx)
		default:
			retry.reset()
			if !more {
				r.idle(ctx, wake)
			}
		}
	}
	return r.deleteUnsettled(hard)
}

// standbyWait returns how long the relay waits before it tries to lead, half an interval to one and a half. A relay
// that led until now waits a whole interval or longer. Otherwise two relays under load would swap the lead whenever
// the try of one falls between two batches of the other.
func (r *Relay) standbyWait() time.Duration {
	interval := r.cfg.StandbyInterval
	if r.State() == RelayStandby || r.State() == RelayStarting {
		return interval/2 + jitter(interval)
	}
	return interval + jitter(interval/2)
}

// Drain moves the records that are due and returns how many it moved. It returns
// on the first error, ErrStandby among them, and when nothing is due any more. Due records that the broker rejects, because a queue
// is full, are an error that wraps ErrRejected. It waits for an address that is unroutable for a moment (see UnroutablePolicy).
//
// With a Control it leaves the records of paused exchanges in the outbox. A pause of the whole relay is an error that wraps ErrPaused.
func (r *Relay) Drain(ctx context.Context) (int, error) {
	defer r.dropAhead(context.WithoutCancel(ctx))
	if err := r.cfg.Control.readNow(ctx); err != nil {
		return 0, fmt.Errorf("parley: drain outbox: %w", err)
	}
	moved := 0
	for {
		r.cfg.Control.refresh(ctx)
		if p, paused := r.cfg.Control.relayPause(); paused {
			return moved, errors.Join(fmt.Errorf("parley: drain outbox: %w", p.stops()), r.deleteUnsettled(ctx))
		}
		b, err := r.batch(ctx, ctx)
		moved += b.Accepted
		exchange, held := r.heldBack()
		switch {
		case err != nil:
		case b.Unknown < b.Records: // the next batch has other records: the exchanges of rejected ones wait
			continue
		case b.Unknown > 0:
			err = fmt.Errorf("parley: drain outbox: %s: %w", plural(b.Unknown, "record", "records"), ErrUnknown)
		case held != nil && errors.Is(held.why, ErrUnroutable):
			pause(ctx, nil, time.Until(held.until))
			continue
		case held != nil:
			err = fmt.Errorf("parley: drain outbox: records of exchange %q: %w", exchange, held.why)
		}
		return moved, errors.Join(err, r.deleteUnsettled(ctx))
	}
}

// step moves one batch. more reports whether another batch may be due at once.
func (r *Relay) step(ctx, hard context.Context) (more bool, err error) {
	b, err := r.batch(ctx, hard)
	if err != nil {
		return false, err
	}
	if b.Unknown > 0 {
		return false, fmt.Errorf("publish %s: %w", plural(b.Unknown, "record", "records"), ErrUnknown)
	}
	// After a partial batch new records wake the relay, unless there are no wake-ups.
	return b.Full || b.Records > 0 && !r.watching.Load(), nil
}

// idle waits until records may be due: a wake-up, the next due time, or the poll.
func (r *Relay) idle(ctx context.Context, wake <-chan struct{}) {
	if wait, ok := r.lingers(); ok {
		r.next = nextDue{}
		pause(ctx, wake, wait)
		return
	}
	wait := r.cfg.PollInterval
	due, ok, err := r.untilNextDue(ctx)
	if err != nil && ctx.Err() == nil {
		r.report("relay: reading the next due time failed", err)
	}
	floor := time.Millisecond
	paused := ok && due <= 0 && len(r.cfg.Control.pausedExchanges()) > 0
	if len(r.rejected) > 0 || paused {
		// The next due record may belong to an exchange that is backing off or paused.
		floor = 100 * time.Millisecond
	}
	if err == nil && ok {
		wait = min(wait, due)
	}
	if err == nil && ok && due <= 0 {
		// Nothing was claimed, but a record is due: another session has locked it, perhaps for long.
		r.late = min(2*max(r.late, floor), 100*time.Millisecond)
		floor = r.late
		if !paused {
			r.nameBlockers(ctx)
		}
	} else {
		r.late, r.blocked.since = 0, time.Time{}
	}
	for _, held := range r.rejected {
		wait = min(wait, time.Until(held.until))
	}
	if floor > time.Millisecond || err != nil {
		r.setState(RelayActive) // records are due, or may be
	} else {
		rest, standby := r.fallAsleep(ctx, wait)
		if standby {
			r.standBy(ctx)
			return
		}
		if rest <= 0 && wait > 0 {
			return // the look that ends the series
		}
		wait = rest
	}
	pause(ctx, wake, max(wait, floor))
}

// standBy waits until this relay is to try again to become the active one.
func (r *Relay) standBy(ctx context.Context) {
	wait := r.standbyWait()
	r.setState(RelayStandby)
	sleep(ctx, wait)
}

// pause waits for a wake-up, at most for d.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// untilNextDue returns how long it is until the next scheduled record is due, if possible from the last batch.
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

// declare declares the topology. It retries until the broker is reachable.
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
			// One wrong exchange must not block the others: its records are refused one by one.
			r.report("relay: topology differs from the broker's", err)
			return nil
		}
		r.report("relay: declaring topology failed, retrying", err)
		retry.wait(ctx)
	}
}

func (r *Relay) report(what string, err error, attrs ...any) {
	if r.cfg.Hooks.Err != nil {
		r.cfg.Hooks.Err(err)
	}
	if errors.Is(err, ErrNoTables) {
		r.reportNoTables(err)
		return
	}
	r.cfg.Logger.Warn(what, append(attrs, "err", err)...)
}

// reportNoTables logs missing tables once a minute: they will not appear before a person acts.
func (r *Relay) reportNoTables(err error) {
	now, last := time.Now(), r.noTables.Load()
	if (last == nil || now.Sub(*last) >= time.Minute) && r.noTables.CompareAndSwap(last, &now) {
		r.cfg.Logger.Error("relay: tables are missing, nothing is published", "err", err)
	}
}

// graceful returns a context that outlives ctx by at most timeout.
func graceful(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer atomic.Pointer[time.Timer]
	stop := context.AfterFunc(ctx, func() { timer.Store(time.AfterFunc(timeout, cancel)) })
	return hard, func() {
		stop()
		if t := timer.Load(); t != nil {
			t.Stop()
		}
		cancel()
	}
}
