package parley

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Consumer takes deliveries from one queue and hands them to a router's
// handlers. A delivery is acknowledged only after its handler returned nil; a
// crash at any point has it delivered again. It resubscribes for ever.
type Consumer struct {
	broker Broker
	router *Router
	cfg    ConsumerConfig

	subscribed atomic.Bool
	inHand     atomic.Int64
	seed       maphash.Seed
	unhandled  sync.Map // routeAddress -> struct{}: warned about
}

// UnhandledPolicy says what becomes of a delivery that no route takes.
type UnhandledPolicy int

const (
	// UnhandledAck settles it, counts it and warns once for each exchange and
	// routing key; the Python library does the same. The default.
	UnhandledAck UnhandledPolicy = iota
	// UnhandledFail treats it like a handler's error, so that nothing is dropped.
	UnhandledFail
)

// ConsumerConfig holds the choices for a consumer.
type ConsumerConfig struct {
	// Queue is the queue to consume. Required.
	Queue string
	// Topology is declared, or checked, at each subscription.
	Topology Topology
	// Lanes is how many deliveries are handled at once. Default: 16.
	Lanes int
	// Prefetch bounds the deliveries in hand. Default: 4 times Lanes, at most 300.
	Prefetch int
	// Unhandled says what becomes of deliveries that no route takes. Default: UnhandledAck.
	Unhandled UnhandledPolicy
	// RetryDelay is how long a failed delivery rests before it goes back to its
	// queue; it doubles with each failure seen by this process, up to a minute. Default: 1s.
	RetryDelay time.Duration
	// Grace is how long a stop waits for running handlers; then their contexts end. Default: 25s.
	Grace time.Duration
	// Hooks observe the consumer.
	Hooks ConsumerHooks
	// Logger gets what the operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// NewConsumer returns a consumer of cfg.Queue. It starts nothing; see Run. It is an
// error if the router has no handler: such a consumer would empty the queue.
func NewConsumer(b Broker, r *Router, cfg *ConsumerConfig) (*Consumer, error) {
	c := &Consumer{broker: b, router: r, seed: maphash.MakeSeed()}
	if cfg != nil {
		c.cfg = *cfg
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Consumer) complete() error {
	var errs []error
	if c.cfg.Queue == "" {
		errs = append(errs, errors.New("parley: ConsumerConfig.Queue must be set"))
	}
	if err := checkName("ConsumerConfig.Queue", c.cfg.Queue); err != nil {
		errs = append(errs, fmt.Errorf("parley: %w", err))
	}
	if c.router == nil || c.router.empty() {
		errs = append(errs, errors.New("parley: the router has no handler: register one, or the consumer would empty its queue for nothing"))
	}
	setDefault(&c.cfg.Lanes, 16, "ConsumerConfig.Lanes", &errs)
	setDefault(&c.cfg.Prefetch, min(4*c.cfg.Lanes, 300), "ConsumerConfig.Prefetch", &errs)
	setDefault(&c.cfg.RetryDelay, time.Second, "ConsumerConfig.RetryDelay", &errs)
	setDefault(&c.cfg.Grace, 25*time.Second, "ConsumerConfig.Grace", &errs)
	if c.cfg.Prefetch > 65535 {
		errs = append(errs, fmt.Errorf("parley: ConsumerConfig.Prefetch %d is over 65535, the limit of AMQP", c.cfg.Prefetch))
	}
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.Default()
	}
	return errors.Join(errs...)
}

// Subscribed tells whether the consumer has a live subscription.
func (c *Consumer) Subscribed() bool { return c.subscribed.Load() }

// InHand counts the deliveries that are being handled or wait for their turn.
func (c *Consumer) InHand() int { return int(c.inHand.Load()) }

// Run consumes until ctx is cancelled. Then it starts no further handler, lets the
// running ones finish within the grace, settles them, gives everything else
// back to the queue and returns nil.
func (c *Consumer) Run(ctx context.Context) error {
	hard, cancel := graceful(ctx, c.cfg.Grace)
	defer cancel()
	retry := backoff{first: 100 * time.Millisecond, limit: 30 * time.Second}
	for ctx.Err() == nil {
		start := time.Now()
		err := c.session(ctx, hard)
		if ctx.Err() != nil {
			break
		}
		c.setSubscribed(false, err)
		c.cfg.Logger.Warn("consumer: subscribes again", "queue", c.cfg.Queue, "err", err)
		if time.Since(start) > time.Minute {
			retry.reset()
		}
		retry.wait(ctx)
	}
	c.setSubscribed(false, nil)
	return nil
}

func (c *Consumer) setSubscribed(up bool, cause error) {
	if c.subscribed.Swap(up) != up && c.cfg.Hooks.Subscribed != nil {
		c.cfg.Hooks.Subscribed(up, cause)
	}
}

// session consumes on one subscription until that ends or ctx does.
func (c *Consumer) session(ctx, hard context.Context) error {
	t := c.cfg.Topology
	if len(t.Exchanges)+len(t.Queues)+len(t.Bindings) > 0 {
		if err := c.broker.Declare(ctx, t); err != nil {
			return err
		}
	}
	sub, err := c.broker.Subscribe(ctx, c.cfg.Queue, SubscribeOptions{Prefetch: c.cfg.Prefetch})
	if err != nil {
		return err
	}
	c.setSubscribed(true, nil)
	live, lost := context.WithCancel(ctx)
	defer lost()
	lanes := newLanes(c, live, hard)
	for err == nil {
		var d *Delivery
		if d, err = sub.Next(ctx); err == nil {
			lanes.dispatch(d)
		}
	}
	lost() // what has not begun would be handled twice
	lanes.stop()
	// Deliveries that were not handled go back in their order when the channel closes.
	return errors.Join(err, sub.Close())
}

// handle does everything for one delivery.
func (c *Consumer) handle(ctx, hard context.Context, d *Delivery, route *Route) {
	if c.cfg.Hooks.Start != nil {
		c.cfg.Hooks.Start(d)
	}
	start := time.Now()
	err := c.call(hard, d, route)
	took := time.Since(start)
	if o, ok := errors.AsType[*outcomeError](err); ok && o.ignore {
		c.cfg.Logger.Debug("consumer: delivery ignored by its handler", c.attrs(d, err)...)
		err = nil
	}
	if err == nil {
		c.settle(d, Ack)
	} else {
		c.fail(ctx, d, err)
	}
	if c.cfg.Hooks.Done != nil {
		c.cfg.Hooks.Done(d, err, took)
	}
}

func (c *Consumer) call(ctx context.Context, d *Delivery, route *Route) error {
	if route == nil {
		return c.noRoute(d)
	}
	ctx = WithCorrelationID(ctx, d.CorrelationID)
	return protect(ctx, route.handler, d)
}

// noRoute settles what nobody handles, or fails.
func (c *Consumer) noRoute(d *Delivery) error {
	if c.cfg.Hooks.Unhandled != nil {
		c.cfg.Hooks.Unhandled(d)
	}
	err := fmt.Errorf("no handler for exchange %q, routing key %q", d.Exchange, shorten(d.RoutingKey, 80))
	if c.cfg.Unhandled == UnhandledFail {
		return err
	}
	if _, warned := c.unhandled.LoadOrStore(routeAddress{d.Exchange, d.RoutingKey}, true); !warned {
		c.cfg.Logger.Warn("consumer: no handler for this message, acknowledges it", c.attrs(d, nil)...)
	}
	return nil
}

// fail lets a failed delivery rest, then gives it back to the queue. The rest is in
// this process, so the message cannot spin between broker and consumer.
func (c *Consumer) fail(ctx context.Context, d *Delivery, err error) {
	attrs := c.attrs(d, err)
	if p, ok := errors.AsType[*PanicError](err); ok {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	c.cfg.Logger.Error("consumer: handler failed", attrs...)
	delay := c.cfg.RetryDelay
	if d.Redelivered {
		delay = min(4*delay, time.Minute)
	}
	if o, ok := errors.AsType[*outcomeError](err); ok && o.retryAfter > 0 {
		delay = min(o.retryAfter, 15*time.Minute)
	}
	sleep(ctx, delay)
	c.settle(d, Requeue)
}

func (c *Consumer) settle(d *Delivery, s Settlement) {
	err := d.Settle(s)
	if errors.Is(err, ErrStale) {
		if c.cfg.Hooks.Stale != nil {
			c.cfg.Hooks.Stale(d)
		}
		return // the broker delivers it again
	}
	if err != nil {
		c.cfg.Logger.Warn("consumer: cannot settle a delivery", c.attrs(d, err)...)
	}
}

func (c *Consumer) attrs(d *Delivery, err error) []any {
	a := []any{"queue", d.Queue, "exchange", d.Exchange, "routing_key", shorten(d.RoutingKey, 80), "message_id", d.ID}
	if err != nil {
		a = append(a, "err", err)
	}
	return a
}
