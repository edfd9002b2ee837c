package parley

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Consumer receives deliveries from one queue and passes them to a router's
// handlers. A delivery is acked after its handler returned nil, or after its failed copy is safe:
// a committed row of the failure store, or a copy that the broker has confirmed. Expired, duplicate
// and ignored messages are acked too. A message that no handler matches is acked and dropped, with
// one warning for each exchange and routing key, unless ConsumerConfig.Unhandled is UnhandledPark.
// A crash before the ack causes a redelivery. The consumer resubscribes indefinitely.
type Consumer struct {
	broker Broker
	router *Router
	cfg    ConsumerConfig

	secrets [][]byte // the first one signs, all of them verify
	delays  []time.Duration

	subscribed atomic.Bool
	inHand     atomic.Int64
	stuck      atomic.Int64 // handlers still running after their context ended
	kill       killSwitch
	unhandled  warnings
	held       heldKeys     // without a failure store
	settled    atomic.Int64 // deliveries settled since the start
	unstored   atomic.Int64 // unacked failed deliveries that cannot be stored
	shared     atomic.Bool  // another library's consumers take from the queue
	unpausable atomic.Bool  // an operator's pause by routing key cannot be kept
	prefetch   prefetch

	heldBack     atomic.Int64 // deliveries that wait for earlier ones of their keys
	heldBackMost atomic.Bool  // they use up most of the prefetch

	late          lateHandlers
	returns       returns // used by Run only
	raises        raises  // used by Run only
	failuresReady bool    // used by Run only
	probePrefetch int     // used by Run only
}

// UnhandledPolicy says what happens to a delivery that matches no route.
type UnhandledPolicy int

const (
	// UnhandledAck acks it, counts it and logs a warning once for each exchange and
	// routing key, as the Python library does. The default.
	UnhandledAck UnhandledPolicy = iota
	// UnhandledPark parks it, so that no message is dropped.
	UnhandledPark
)

// ConsumerConfig holds the choices for a consumer.
type ConsumerConfig struct {
	// Queue is the queue to consume. Required.
	Queue string
	// Name is the consumer's name in the failure store. Consumers that share a database need different names; all
	// processes of one consumer use the same name. Default: Queue.
	Name string
	// Failures is where failed deliveries wait for their retry and are parked: a table in the consumer's own
	// database, such as postgres.Store.Failures. Copies of messages then never pass through queues, so none is lost to a
	// full, deleted or shared queue. Default: none; retries and parked messages then wait in queues beside Queue.
	Failures FailureStore
	// FailureRetention is how long the failure store keeps parked rows. Default: 0, no limit.
	FailureRetention time.Duration
	// Control tells the consumer what operators have paused. A paused queue is not subscribed to. Messages with a paused routing key
	// are moved to Failures, in their order, and return at the end of the pause. Default: none; nothing can be paused.
	Control *Control
	// PoisonLimit is how often a message may be begun or delivered without an outcome, because its handler crashes the
	// process, before it is parked. From half of this limit on, or half of a quorum queue's delivery limit, the message is
	// handled while no other delivery is in hand. A crash then counts against this message only. Default: 20. Negative
	// means that no message is parked for this reason. On an ordered route without Failures a message is parked one delivery before the
	// queue's delivery limit at the latest (20, unless Topology declares another one); with a negative limit it goes to the
	// end of the queue then, and later messages of its key may overtake it.
	PoisonLimit int
	// Topology is declared, or checked, at each subscription.
	Topology Topology
	// Concurrency is how many deliveries are handled at once. Default: 16.
	Concurrency int
	// Prefetch bounds the unacked deliveries. It is reduced so that Prefetch × mean body size stays within MaxBytes
	// (1 MiB is assumed until a message was seen). Default: 4 times Concurrency, at most 300.
	Prefetch int
	// Unhandled says what happens to deliveries that match no route. Default: UnhandledAck.
	Unhandled UnhandledPolicy
	// Retry is the policy of routes that have none of their own. Default: DefaultRetry. If a consumer of
	// the Python library takes from the same queue, use Failures: that consumer would drop messages that return
	// from a retry queue. Without Failures the consumer detects this, and its retries wait in the process.
	Retry RetryPolicy
	// KeyRules are exceptions from the renaming of keys in messages of other libraries, such as those of a Django
	// project that has set JSON_CAMEL_CASE. Default: none.
	KeyRules *KeyRules
	// QueueArguments are for the retry queues and the parked queue, such as
	// x-queue-type: quorum. Default: none.
	QueueArguments map[string]any
	// Secrets sign the retry history of messages. The first one signs, all of them
	// verify. All consumers of a queue need the same secrets. Default: one derived
	// from the broker's login.
	Secrets [][]byte
	// MaxBytes bounds the bodies of the deliveries in hand (see InHand), in bytes. Default: 256 MiB.
	MaxBytes int
	// KillSwitch pauses consumption at a high failure rate.
	KillSwitch KillSwitchConfig
	// HandlerTimeout is how long one attempt may take. Then its context ends, and the next attempt comes from a retry
	// queue, if there is one. HandlerTimeout × Prefetch/Concurrency must be less than RabbitMQ's consumer_timeout of
	// 30 minutes, after which the broker closes the channel. Default: 5m.
	HandlerTimeout time.Duration
	// StuckAfter is how long after HandlerTimeout an unreturned handler is reported as stuck;
	// its worker is replaced. Default: 10s.
	StuckAfter time.Duration
	// MaxStuck is the number of stuck handlers that makes the consumer unhealthy. Default: 4.
	MaxStuck int
	// ShutdownTimeout is how long a stop waits for running handlers before their contexts end. It applies to a lost subscription and to the
	// kill switch too. Default: 25s.
	ShutdownTimeout time.Duration
	// Hooks observe the consumer.
	Hooks ConsumerHooks
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// NewConsumer returns a consumer of cfg.Queue. It starts nothing; see Run. A router without
// handlers is an error: such a consumer would empty the queue.
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
		errs = append(errs, errors.New("parley: the router has no handler (register one: without it every message would be acked and dropped)"))
	}
	setDefault(&c.cfg.Concurrency, 16, "ConsumerConfig.Concurrency", &errs)
	setDefault(&c.cfg.Prefetch, min(4*c.cfg.Concurrency, 300), "ConsumerConfig.Prefetch", &errs)
	setDefault(&c.cfg.MaxBytes, 256<<20, "ConsumerConfig.MaxBytes", &errs)
	setDefault(&c.cfg.HandlerTimeout, 5*time.Minute, "ConsumerConfig.HandlerTimeout", &errs)
	setDefault(&c.cfg.StuckAfter, 10*time.Second, "ConsumerConfig.StuckAfter", &errs)
	setDefault(&c.cfg.MaxStuck, 4, "ConsumerConfig.MaxStuck", &errs)
	setDefault(&c.cfg.FailureRetention, 0, "ConsumerConfig.FailureRetention", &errs)
	if c.cfg.PoisonLimit == 0 {
		c.cfg.PoisonLimit = 20
	}
	if c.cfg.Name == "" {
		c.cfg.Name = c.cfg.Queue
	}
	if err := checkName("ConsumerConfig.Name", c.cfg.Name); err != nil {
		errs = append(errs, fmt.Errorf("parley: %w", err))
	}
	setDefault(&c.cfg.ShutdownTimeout, 25*time.Second, "ConsumerConfig.ShutdownTimeout", &errs)
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

// completeRetry checks the retry policies and sets the secrets and delays.
func (c *Consumer) completeRetry() (errs []error) {
	if err := c.cfg.Retry.check(); err != nil {
		errs = append(errs, fmt.Errorf("parley: ConsumerConfig.Retry: %w", err))
	}
	c.cfg.Retry = c.cfg.Retry.over(DefaultRetry)
	c.secrets = c.cfg.Secrets
	if keeper, ok := c.broker.(SecretKeeper); ok && len(c.secrets) == 0 {
		if secret := keeper.RetrySecret(); len(secret) > 0 {
			c.secrets = [][]byte{secret}
		}
	}
	if len(c.secrets) == 0 && c.cfg.Failures != nil {
		c.secrets = [][]byte{[]byte(rand.Text())} // no copy leaves the process, so nothing has to be verified
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
	if c.router != nil && c.cfg.Failures == nil { // with a failure store the retries wait in its table
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
				errs = append(errs, fmt.Errorf("parley: retry queue name %q has %d bytes, AMQP allows %d: shorten ConsumerConfig.Queue", shorten(name, 80), len(name), maxName))
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

// Subscribed reports whether the consumer has a live subscription.
func (c *Consumer) Subscribed() bool { return c.subscribed.Load() }

// InHand returns the number of deliveries that are being handled or wait in this process.
func (c *Consumer) InHand() int { return int(c.inHand.Load() + c.heldBack.Load()) }

// Health returns nil if the consumer is able to handle deliveries. Otherwise the error says why it is not.
//
// A consumer whose queue an operator has paused is healthy; see Paused.
func (c *Consumer) Health() error {
	if _, paused := c.Paused(); paused && !c.subscribed.Load() {
		return nil
	}
	if cause := c.kill.cause(); cause != nil {
		return fmt.Errorf("parley: consumer of queue %q is paused: %w", c.cfg.Queue, cause)
	}
	if n := c.stuck.Load(); int(n) >= c.cfg.MaxStuck {
		return fmt.Errorf("parley: consumer of queue %q: %s after the context ended (stuck)", c.cfg.Queue, plural(int(n), "handler is still running", "handlers are still running"))
	}
	if n := c.unstored.Load(); n > 0 {
		return fmt.Errorf("parley: consumer of queue %q: %s cannot be stored and stay unacked (see its log)", c.cfg.Queue, plural(int(n), "failed delivery", "failed deliveries"))
	}
	if n := c.heldBack.Load(); c.heldBackMost.Load() {
		return fmt.Errorf("parley: consumer of queue %q: %s for earlier deliveries of the same ordering keys, which the broker has not redelivered since the connection was lost", c.cfg.Queue, plural(int(n), "delivery waits", "deliveries wait"))
	}
	if !c.subscribed.Load() {
		return fmt.Errorf("parley: consumer is not subscribed to queue %q", c.cfg.Queue)
	}
	return nil
}

// Run consumes until ctx is cancelled. Then it starts no further handler and lets the
// running ones finish within the shutdown timeout. It settles their deliveries, returns all others
// to the queue and returns nil. It returns an error if a handler did not return, or if at the start the
// failure store lacks its table or a right.
func (c *Consumer) Run(ctx context.Context) error {
	hard, cancel := graceful(ctx, c.cfg.ShutdownTimeout)
	defer cancel()
	members, leave := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { c.watchMembers(members) })
	wg.Go(func() { _ = c.cfg.Control.Run(members) }) // it returns nil
	wg.Go(func() { c.returnRows(members) })
	c.cfg.Control.ready(ctx)
	defer wg.Wait()
	defer c.late.ends.Wait()
	defer leave()
	retry := backoff{first: 100 * time.Millisecond, limit: 10 * time.Second}
	for ctx.Err() == nil {
		if c.awaitResume(ctx); ctx.Err() != nil {
			break
		}
		start, settled := time.Now(), c.settled.Load()
		end, err := c.session(members, hard)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, ErrFailuresNotReady) && !c.failuresReady {
			return fmt.Errorf("parley: consumer of queue %q: %w", c.cfg.Queue, err)
		}
		// On an unreliable network every session is short, but each one makes progress.
		if c.settled.Load() > settled || time.Since(start) > 10*time.Second {
			retry.reset()
		}
		c.between(ctx, end, err, &retry)
	}
	c.setSubscribed(false, nil)
	if left := c.late.count(); left > 0 {
		return fmt.Errorf("parley: consumer of queue %q: %s", c.cfg.Queue, plural(left, "handler did not return", "handlers did not return"))
	}
	return nil
}

// between waits until the next session may start.
func (c *Consumer) between(ctx context.Context, end sessionEnd, err error, retry *backoff) {
	cause := c.kill.cause()
	if end == endHeld {
		return
	}
	if cause == nil && end == endResized {
		c.prefetch.logResize(c.cfg.Logger, c.cfg.Queue)
		return
	}
	if _, paused := c.Paused(); paused {
		if cause != nil {
			c.kill.probe() // the first delivery after the operator's pause decides
		}
		return // Run waits until the operator's pause ends
	}
	if cause == nil && end == endReturned {
		return // it is logged
	}
	c.setSubscribed(false, err)
	switch {
	case cause != nil:
		c.pause(ctx, cause)
	case end == endProbed:
		c.cfg.Logger.Info("consumer: probe succeeded, consumption resumed", "queue", c.cfg.Queue)
	default:
		c.cfg.Logger.Warn("consumer: not subscribed, retrying", "queue", c.cfg.Queue, "err", err)
		retry.again(ctx)
	}
}

// pause waits until the next probe.
func (c *Consumer) pause(ctx context.Context, cause error) {
	if c.kill.isProbing() {
		c.cfg.Logger.Warn("consumer: probe failed, still paused", "queue", c.cfg.Queue, "err", cause)
	} else {
		c.cfg.Logger.Error("consumer: kill switch tripped, consumption paused", "queue", c.cfg.Queue, "err", cause)
	}
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
