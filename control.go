package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// ControlConfig holds the choices for a Control.
type ControlConfig struct {
	// Interval is how often the pauses are read. Default: 1s.
	Interval time.Duration
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// A Control tells the relays and the consumers of a process what operators have paused; see [Pause]. It reads the table once for all of
// them. While the table cannot be read, the last known pauses hold until their ends.
type Control struct {
	store ControlStore
	cfg   ControlConfig
	first chan struct{} // closed after the first read
	turn  chan struct{} // has an item while a Run reads

	mu      sync.Mutex // guards the fields below
	pauses  []heldPause
	change  chan struct{} // closed and replaced with each change
	failing bool
	read    bool
	next    time.Time // when the pauses are to be read again
}

// A heldPause is a pause with its end by this process's clock.
type heldPause struct {
	Pause
	ends time.Time
}

// NewControl returns a control that reads the pauses of store. The relays and consumers that have it run it.
func NewControl(store ControlStore, cfg *ControlConfig) (*Control, error) {
	c := &Control{store: store, first: make(chan struct{}), turn: make(chan struct{}, 1), change: make(chan struct{})}
	if cfg != nil {
		c.cfg = *cfg
	}
	var errs []error
	if store == nil {
		errs = append(errs, errors.New("parley: NewControl: store must not be nil"))
	}
	setDefault(&c.cfg.Interval, time.Second, "ControlConfig.Interval", &errs)
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.Default()
	}
	return c, errors.Join(errs...)
}

// Run reads the pauses until ctx ends, then returns nil. Of several calls at once, one reads, and the others wait for its end. Relays and
// consumers call it; a program calls it to know the pauses without either.
func (c *Control) Run(ctx context.Context) error {
	if c == nil {
		return nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil
	}
	for {
		if !sleep(ctx, c.untilNext(c.poll(ctx))) {
			return nil
		}
	}
}

// readNow reads the pauses for callers that do not run c. Missing tables are no error: nothing can be paused then.
func (c *Control) readNow(ctx context.Context) error {
	if c == nil {
		return nil
	}
	if err := c.poll(ctx); err != nil && !errors.Is(err, ErrControlNotReady) {
		return fmt.Errorf("read pauses: %w", err)
	}
	return nil
}

// refresh reads the pauses again if the last read is older than the interval. If that fails, the last known pauses hold.
func (c *Control) refresh(ctx context.Context) {
	if c == nil {
		return
	}
	c.mu.Lock()
	recent := time.Now().Before(c.next)
	c.mu.Unlock()
	if !recent {
		_ = c.poll(ctx) // it logs the error
	}
}

// Pauses returns the pauses that hold now, in the order of their ids.
func (c *Control) Pauses() []Pause {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Pause
	for _, p := range c.pauses {
		if p.Left = time.Until(p.ends); p.Left > 0 {
			out = append(out, p.Pause)
		}
	}
	return out
}

// unmigrated is how often a missing table is looked for.
const unmigrated = 30 * time.Second

// untilNext returns when to read the pauses again after a read that returned err.
func (c *Control) untilNext(err error) time.Duration {
	if errors.Is(err, ErrControlNotReady) {
		return max(c.cfg.Interval, unmigrated) // each read would be an error in the log of the server
	}
	return c.cfg.Interval
}

// poll reads the pauses once. After an error the last known pauses hold.
func (c *Control) poll(ctx context.Context) error {
	timed, cancel := context.WithTimeout(ctx, databaseTimeout)
	asked := time.Now() // the ends are at most a round trip too early
	found, err := c.store.Pauses(timed)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = asked.Add(c.untilNext(err))
	next := slices.DeleteFunc(slices.Clone(c.pauses), func(p heldPause) bool { return !p.ends.After(asked) })
	if err == nil {
		next = nil
		for _, p := range found {
			next = append(next, heldPause{p, asked.Add(p.Left)})
		}
	}
	c.note(err)
	c.replace(next)
	if !c.read {
		c.read = true
		close(c.first)
	}
	return err
}

// note logs the first of several failures, and the end of them; mu is held.
func (c *Control) note(err error) {
	switch {
	case errors.Is(err, ErrControlNotReady) && !c.failing:
		c.cfg.Logger.Info("control: pauses are not available", "err", err)
	case err != nil && !c.failing:
		c.cfg.Logger.Warn("control: reading pauses failed, the last known state holds", "err", err)
	case err == nil && c.failing:
		c.cfg.Logger.Info("control: pauses are read again")
	}
	c.failing = err != nil
}

// replace sets the pauses, and reports changes; mu is held.
func (c *Control) replace(next []heldPause) {
	same := func(a heldPause) func(b heldPause) bool {
		return func(b heldPause) bool { return a.ID == b.ID && a.Until.Equal(b.Until) }
	}
	changed := false
	for _, p := range next {
		if !slices.ContainsFunc(c.pauses, same(p)) {
			changed = true
			c.cfg.Logger.Warn("control: paused by an operator", "what", p.String(), "until", p.Until, "by", p.By, "reason", p.Reason)
		}
	}
	for _, p := range c.pauses {
		if !slices.ContainsFunc(next, func(b heldPause) bool { return b.ID == p.ID }) {
			changed = true
			c.cfg.Logger.Info("control: pause ended", "what", p.String())
		}
	}
	c.pauses = next
	if changed {
		close(c.change)
		c.change = make(chan struct{})
	}
}

// changed returns a channel that is closed at the next change.
func (c *Control) changed() <-chan struct{} {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.change
}

// firstRead is how long a relay or consumer waits at its start until the pauses are known.
const firstRead = 10 * time.Second

// ready waits until the pauses were read once, successfully or not: a pause survives a restart.
func (c *Control) ready(ctx context.Context) {
	if c == nil {
		return
	}
	t := time.NewTimer(firstRead)
	defer t.Stop()
	select {
	case <-c.first:
	case <-ctx.Done():
	case <-t.C:
		c.cfg.Logger.Error("control: pauses unknown, starting as if nothing was paused")
	}
}

// await waits for the next change, the end of ctx, or for d.
func (c *Control) await(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.C:
	}
}

// find returns the first pause that fits.
func (c *Control) find(fits func(p *Pause) bool) (Pause, bool) {
	for _, p := range c.Pauses() {
		if fits(&p) {
			return p, true
		}
	}
	return Pause{}, false
}

// relayPause returns the pause of all exchanges.
func (c *Control) relayPause() (Pause, bool) {
	return c.find(func(p *Pause) bool { return p.Part == PauseRelay && p.Exchange == "" })
}

// pausedExchanges returns the exchanges whose records a relay leaves in the outbox, sorted.
func (c *Control) pausedExchanges() (names []string) {
	for _, p := range c.Pauses() {
		if p.Part == PauseRelay && p.Exchange != "" {
			names = append(names, p.Exchange)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// queuePause returns the pause of a queue.
func (c *Control) queuePause(queue string) (Pause, bool) {
	return c.find(func(p *Pause) bool { return p.Part == PauseConsumer && p.Queue == queue })
}

// keyPause returns the pause of messages with a routing key that ends last.
func (c *Control) keyPause(routingKey string) (last Pause, ok bool) {
	for _, p := range c.Pauses() {
		if p.matches(routingKey) && p.Left > last.Left {
			last, ok = p, true
		}
	}
	return last, ok
}

// State is a text for health checks, such as "paused by an operator until 2026-11-29T10:45:00Z: relay exchange shop". It is ""
// if nothing is paused. It has no reasons, because they may be confidential.
func (c *Control) State() string {
	var parts []string
	for _, p := range c.Pauses() {
		parts = append(parts, p.Text())
	}
	if len(parts) == 0 {
		return ""
	}
	return "paused by an operator: " + strings.Join(parts, ", ")
}

// Text returns what is paused and until when, without the reason.
func (p *Pause) Text() string {
	return fmt.Sprintf("%s until %s", p, p.Until.UTC().Format(time.RFC3339))
}
