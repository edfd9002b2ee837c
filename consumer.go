package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
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

	secrets [][]byte // the first one signs
	delays  []time.Duration

	subscribed atomic.Bool
	inHand     atomic.Int64
	stuck      atomic.Int64 // handlers that ignore the end of their context
	kill       killSwitch
	unhandled  warnings
	held       heldKeys
	settled    atomic.Int64 // deliveries, ever
	prefetch   prefetch
}

// UnhandledPolicy says what becomes of a delivery that no route takes.
type UnhandledPolicy int

const (
	// UnhandledAck settles it, counts it and warns once for each exchange and
	// routing key; the Python library does the same. The default.
	UnhandledAck UnhandledPolicy = iota
	// UnhandledPark sets it aside in the parked queue, so that nothing is dropped.
	UnhandledPark
)

// ConsumerConfig holds the choices for a consumer.
type ConsumerConfig struct {
	// Queue is the queue to consume. Required.
	Queue string
	// Topology is declared, or checked, at each subscription.
	Topology Topology
	// Lanes is how many deliveries are handled at once. Default: 16.
	Lanes int
	// Prefetch bounds the deliveries in hand. It is lowered while messages are so large that
	// MaxBytes does not hold as many; the first are taken for 1 MiB each. Default: 4 times
	// Lanes, at most 300.
	Prefetch int
	// Unhandled says what becomes of deliveries that no route takes. Default: UnhandledAck.
	Unhandled UnhandledPolicy
	// Retry is the policy for routes that have none of their own. Default: DefaultRetry. While
	// a consumer of the Python library takes from the same queue, leave Delays empty
	// (not nil): it would get retried messages too, under an address that it does
	// not know, and drop them.
	Retry RetryPolicy
	// QueueArguments are for the delay queues and the parked queue, such as
	// x-queue-type: quorum. Default: none.
	QueueArguments map[string]any
	// Secrets sign the retry history of messages; the first one signs, all of them are
	// accepted. All consumers of a queue need the same. Default: one that is derived
	// from the broker's login.
	Secrets [][]byte
	// MaxBytes bounds the bodies in hand, in bytes. Default: 256 MiB.
	MaxBytes int
	// KillSwitch pauses consuming when too much fails at once.
	KillSwitch KillSwitchConfig
	// HandlerTimeout is how long an attempt may take; then its context ends, and the next one comes from
	// a delay queue, if there is one. Prefetch/Lanes times as long must be less than RabbitMQ's
	// consumer_timeout, 30 minutes: then it ends the channel. Default: 5m.
	HandlerTimeout time.Duration
	// StuckAfter is how much longer a handler may take to notice that. Then it is
	// reported as stuck, and another worker takes its place. Default: 10s.
	StuckAfter time.Duration
	// MaxStuck is how many stuck handlers make the consumer unhealthy. Default: 4.
	MaxStuck int
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
	c := &Consumer{broker: b, router: r}
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
	setDefault(&c.cfg.MaxBytes, 256<<20, "ConsumerConfig.MaxBytes", &errs)
	setDefault(&c.cfg.HandlerTimeout, 5*time.Minute, "ConsumerConfig.HandlerTimeout", &errs)
	setDefault(&c.cfg.StuckAfter, 10*time.Second, "ConsumerConfig.StuckAfter", &errs)
	setDefault(&c.cfg.MaxStuck, 4, "ConsumerConfig.MaxStuck", &errs)
	setDefault(&c.cfg.Grace, 25*time.Second, "ConsumerConfig.Grace", &errs)
	if c.cfg.Prefetch > 65535 {
		errs = append(errs, fmt.Errorf("parley: ConsumerConfig.Prefetch %d is over 65535, the limit of AMQP", c.cfg.Prefetch))
	}
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.Default()
	}
	c.cfg.KillSwitch.complete(&errs)
	c.kill.cfg = c.cfg.KillSwitch
	c.prefetch = prefetch{most: c.cfg.Prefetch, maxBytes: c.cfg.MaxBytes}
	errs = append(errs, c.completeRetry()...)
	return errors.Join(errs...)
}

// completeRetry checks the retry policies and finds the secrets and delays.
func (c *Consumer) completeRetry() (errs []error) {
	if err := c.cfg.Retry.check(); err != nil {
		errs = append(errs, fmt.Errorf("parley: ConsumerConfig.Retry: %w", err))
	}
	c.cfg.Retry = c.cfg.Retry.over(DefaultRetry)
	c.secrets = c.cfg.Secrets
	if keeper, ok := c.broker.(SecretKeeper); ok && len(c.secrets) == 0 {
		c.secrets = [][]byte{keeper.RetrySecret()}
	}
	if len(c.secrets) == 0 {
		errs = append(errs, errors.New("parley: ConsumerConfig.Secrets must be set: this broker has no secret for the retry history"))
	}
	for _, secret := range c.secrets {
		if len(secret) < 16 {
			errs = append(errs, errors.New("parley: ConsumerConfig.Secrets: a secret must have at least 16 bytes"))
		}
	}
	delays := map[time.Duration]bool{}
	if c.router != nil {
		for _, route := range c.router.Routes() {
			if err := route.options.checkOrdered(c.cfg.Retry); err != nil {
				errs = append(errs, fmt.Errorf("parley: route %q %q: %w", route.Exchange, route.Pattern, err))
			}
		}
	}
	for _, policy := range c.policies() {
		for _, d := range policy.Delays {
			delays[d] = true
			if name := retryQueueName(c.cfg.Queue, d); len(name) > maxName {
				errs = append(errs, fmt.Errorf("parley: delay queue name %q has %d bytes, AMQP allows %d: shorten ConsumerConfig.Queue", shorten(name, 80), len(name), maxName))
			}
		}
	}
	c.delays = slices.Sorted(maps.Keys(delays))
	return errs
}

func (c *Consumer) policies() []RetryPolicy {
	out := []RetryPolicy{c.cfg.Retry}
	if c.router != nil {
		for _, route := range c.router.Routes() {
			out = append(out, c.policyOf(&route))
		}
	}
	return out
}

func (c *Consumer) policyOf(route *Route) RetryPolicy {
	if route == nil {
		return c.cfg.Retry
	}
	return route.options.retry.over(c.cfg.Retry)
}

// Subscribed tells whether the consumer has a live subscription.
func (c *Consumer) Subscribed() bool { return c.subscribed.Load() }

// InHand counts the deliveries that are being handled or wait for their turn.
func (c *Consumer) InHand() int { return int(c.inHand.Load()) }

// Health returns nil when deliveries can be expected to be handled, else why not.
func (c *Consumer) Health() error {
	if cause := c.kill.cause(); cause != nil {
		return fmt.Errorf("parley: consumer of queue %q is paused: %w", c.cfg.Queue, cause)
	}
	if n := c.stuck.Load(); int(n) >= c.cfg.MaxStuck {
		return fmt.Errorf("parley: consumer of queue %q: %d handlers ignore the end of their context", c.cfg.Queue, n)
	}
	if !c.subscribed.Load() {
		return fmt.Errorf("parley: consumer is not subscribed to queue %q", c.cfg.Queue)
	}
	return nil
}

// Run consumes until ctx is cancelled. Then it starts no further handler, lets the
// running ones finish within the grace, settles them, gives everything else back
// to the queue and returns nil. It returns an error if a handler could not be ended.
func (c *Consumer) Run(ctx context.Context) error {
	hard, cancel := graceful(ctx, c.cfg.Grace)
	defer cancel()
	retry := backoff{first: 100 * time.Millisecond, limit: 10 * time.Second}
	left := 0
	for ctx.Err() == nil {
		start, settled := time.Now(), c.settled.Load()
		n, err := c.session(ctx, hard)
		left += n
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errOtherPrefetch) && c.kill.cause() == nil {
			c.prefetch.tell(c.cfg.Logger, c.cfg.Queue)
			continue
		}
		c.setSubscribed(false, err)
		switch cause := c.kill.cause(); {
		case cause != nil:
			c.pause(ctx, cause)
		case errors.Is(err, errProbed):
			c.cfg.Logger.Info("consumer: goes on after a pause", "queue", c.cfg.Queue)
		default:
			c.cfg.Logger.Warn("consumer: subscribes again", "queue", c.cfg.Queue, "err", err)
			// Under a bad network every session is short, but each one gets on.
			if c.settled.Load() > settled || time.Since(start) > 10*time.Second {
				retry.reset()
			}
			retry.again(ctx)
		}
	}
	c.setSubscribed(false, nil)
	if left > 0 {
		return fmt.Errorf("parley: consumer of queue %q: %d handlers did not return", c.cfg.Queue, left)
	}
	return nil
}

// pause waits until it is time to probe.
func (c *Consumer) pause(ctx context.Context, cause error) {
	c.cfg.Logger.Error("consumer: too much fails, pauses", "queue", c.cfg.Queue, "err", cause)
	if c.cfg.Hooks.Paused != nil {
		c.cfg.Hooks.Paused(cause)
	}
	sleep(ctx, c.kill.pause(time.Now()))
	c.kill.probe()
}

func (c *Consumer) setSubscribed(up bool, cause error) {
	if c.subscribed.Swap(up) != up && c.cfg.Hooks.Subscribed != nil {
		c.cfg.Hooks.Subscribed(up, cause)
	}
}

// errProbed ends a session whose one delivery has shown that all is well again.
var errProbed = errors.New("the probe was handled")

// session consumes on one subscription until that ends or ctx does. It returns how many
// handlers had to be left behind.
func (c *Consumer) session(ctx, hard context.Context) (left int, err error) {
	if err := c.declare(ctx); err != nil {
		return 0, err
	}
	probing := c.kill.isProbing()
	o := SubscribeOptions{Prefetch: 1}
	if !probing {
		o.Prefetch = c.prefetch.begin()
	}
	sub, err := c.broker.Subscribe(ctx, c.cfg.Queue, o)
	if err != nil {
		return 0, err
	}
	c.setSubscribed(true, nil)
	lanes := newLanes(c, ctx, hard)
	stopWaking := lanes.wakeOnEnd()
	defer stopWaking()
	for err == nil {
		var d *Delivery
		if d, err = sub.Next(lanes.live); err != nil {
			break
		}
		if !probing && c.prefetch.wrong(len(d.Body)) {
			err = errOtherPrefetch // d goes back with those that the library holds
			break
		}
		lanes.dispatch(c.newJob(d))
		if probing {
			err = lanes.settleOne()
		}
	}
	if errors.Is(err, ErrSubscriptionLost) {
		c.setSubscribed(false, err) // now: handlers that run may take the whole grace
	}
	left = lanes.stop(c.cfg.Grace)
	// Deliveries that were not handled go back in their order when the channel closes.
	return left, errors.Join(err, sub.Close())
}

// declare makes or checks the configured topology and the queues of our own.
func (c *Consumer) declare(ctx context.Context) error {
	t := c.cfg.Topology
	if len(t.Exchanges)+len(t.Queues)+len(t.Bindings) > 0 {
		if err := c.broker.Declare(ctx, t); err != nil {
			return err
		}
	}
	return c.broker.Declare(ctx, retryTopology(c.cfg.Queue, t.Mode, c.delays, c.cfg.QueueArguments))
}

// newJob finds out where a delivery comes from and who handles it.
func (c *Consumer) newJob(d *Delivery) *job {
	j := &job{d: d}
	if err := restore(d, c.secrets); err != nil {
		j.next = verdict{action: actPark, err: err}
		return j
	}
	j.hops = d.history.hops
	j.route = c.router.match(d.Exchange, d.RoutingKey)
	if deliveryCount(d) >= 20 {
		j.next = verdict{action: actPark, err: errSeenTooOften}
	}
	if err := j.findKey(); err != nil {
		j.next = verdict{action: actPark, err: err}
	}
	return j
}

// findKey asks the route for the message's key. The function is the user's: on a poisonous
// message it may panic, which must not end the process.
func (j *job) findKey() (err error) {
	if j.route == nil || j.route.options.key == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("key of an ordered route: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	j.key = j.route.options.key(j.d)
	return nil
}

func (c *Consumer) settle(d *Delivery, s Settlement) {
	err := d.Settle(s)
	if err == nil {
		c.settled.Add(1)
	}
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
