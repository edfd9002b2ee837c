package parley

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// A Caller makes calls that wait for their replies in place; see [Await]. It has its own
// reply exchange and reply queue. Call Run beside the rest of the process, and share the
// Caller: thousands of calls may wait at once.
type Caller struct {
	broker Broker
	cfg    CallerConfig

	mu      sync.Mutex // guards the fields below
	last    int64
	waiting map[int64]chan<- *Delivery
	up      chan struct{} // closed while replies can arrive
}

// CallerConfig holds the choices for a caller.
type CallerConfig struct {
	// Name is the name of the reply exchange and queue. No two running processes may use
	// the same one. Use a stable name, such as "shop.replies.0", for each instance: the
	// exchange is durable, because a Python callee declares it so. Required.
	Name string
	// Timeout bounds a call whose context has no deadline. Default: 30s.
	Timeout time.Duration
	// KeyRules are exceptions from the renaming of keys in requests and replies. Default: none.
	KeyRules *KeyRules
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// NewCaller returns a caller. It starts nothing; see Run.
func NewCaller(b Broker, cfg *CallerConfig) (*Caller, error) {
	c := &Caller{broker: b, waiting: map[int64]chan<- *Delivery{}, up: make(chan struct{})}
	if cfg != nil {
		c.cfg = *cfg
	}
	var errs []error
	if err := checkExchange(c.cfg.Name); err != nil {
		errs = append(errs, fmt.Errorf("parley: CallerConfig.Name: %w", err))
	}
	setDefault(&c.cfg.Timeout, 30*time.Second, "CallerConfig.Timeout", &errs)
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.Default()
	}
	var seed [8]byte
	rand.Read(seed[:]) // never fails since Go 1.24
	// Ids start at a random number: a reply to an earlier process with this name must not
	// match a call of this one. They stay below 2^53, which every JSON reader keeps exactly.
	c.last = int64(binary.BigEndian.Uint64(seed[:]) >> 12)
	return c, errors.Join(errs...)
}

// Run receives replies until ctx ends. It resubscribes indefinitely.
func (c *Caller) Run(ctx context.Context) error {
	retry := backoff{first: 100 * time.Millisecond, limit: 10 * time.Second}
	for ctx.Err() == nil {
		start := time.Now()
		if err := c.session(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Warn("caller: not subscribed, retrying", "queue", c.cfg.Name, "err", err)
			if time.Since(start) > 10*time.Second {
				retry.reset()
			}
			retry.again(ctx)
		}
	}
	return nil
}

func (c *Caller) session(ctx context.Context) error {
	err := c.broker.Declare(ctx, Topology{
		Exchanges: []Exchange{{Name: c.cfg.Name}},
		Queues:    []Queue{{Name: c.cfg.Name, Exclusive: true}},
		Bindings:  []Binding{{Queue: c.cfg.Name, Exchange: c.cfg.Name}},
	})
	if err != nil {
		return err
	}
	sub, err := c.broker.Subscribe(ctx, c.cfg.Name, SubscribeOptions{Prefetch: 1000})
	if err != nil {
		return err
	}
	c.setUp(true)
	defer c.setUp(false)
	for {
		d, err := sub.Next(ctx)
		if err != nil {
			return errors.Join(err, sub.Close())
		}
		c.take(d)
		if err := d.Settle(SettleAck); err != nil && !errors.Is(err, ErrStale) {
			c.cfg.Logger.Warn("caller: settling a reply failed", "queue", c.cfg.Name, "err", err)
		}
	}
}

func (c *Caller) setUp(up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if up {
		close(c.up)
	} else {
		c.up = make(chan struct{})
	}
}

// take passes a reply to the call that waits for it. Late and duplicate replies are dropped.
func (c *Caller) take(d *Delivery) {
	f, err := readCall(d.Body)
	if err != nil {
		c.cfg.Logger.Warn("caller: malformed reply dropped", "queue", c.cfg.Name, "err", err)
		return
	}
	id := readID([]byte(f.id))
	c.mu.Lock()
	defer c.mu.Unlock()
	if reply, ok := c.waiting[id]; ok {
		delete(c.waiting, id)
		reply <- d // has room for one
	}
}

// expect registers a new call.
func (c *Caller) expect() (id int64, reply <-chan *Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	ch := make(chan *Delivery, 1)
	c.waiting[c.last] = ch
	return c.last, ch
}

func (c *Caller) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// ready waits until replies can arrive.
func (c *Caller) ready(ctx context.Context) error {
	c.mu.Lock()
	up := c.up
	c.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the caller is not subscribed to its reply queue (does it run?): %w", context.Cause(ctx))
	}
}

// Await publishes call c at once and waits for its reply until ctx ends. Without a deadline
// in ctx, the caller's timeout applies. The call carries that time as its expiry. A failure
// reported by the callee is a *CallError. If no queue is bound for the call, the error
// matches ErrUnroutable. The callee answers it like any other call. Await returns with the reply, also if the broker has not
// confirmed the call yet.
func Await[Req, Resp any](ctx context.Context, caller *Caller, c *CallType[Req, Resp], request Req, options ...AwaitOption) (Resp, error) {
	resp, err := await(ctx, caller, c, request, options)
	if err != nil {
		return resp, wrap("await", c.service, c.method, err)
	}
	return resp, nil
}

func await[Req, Resp any](ctx context.Context, caller *Caller, c *CallType[Req, Resp], request Req, options []AwaitOption) (resp Resp, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, caller.cfg.Timeout)
		defer cancel()
	}
	if err := caller.ready(ctx); err != nil {
		return resp, err
	}
	id, arrived := caller.expect()
	defer caller.forget(id)
	m, err := c.awaited(ctx, id, caller, request, options)
	if err != nil {
		return resp, err
	}
	d, err := caller.exchange(ctx, m, arrived)
	if err != nil {
		return resp, err
	}
	d.keyRules = caller.cfg.KeyRules
	reply, err := decodeReply(c, d)
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	return reply.Data, err
}

// exchange publishes a call and waits for its reply. The broker confirms a call after it has stored it, and the reply can come before.
// It proves that the call arrived, so the confirm is then awaited in the background.
func (c *Caller) exchange(ctx context.Context, m Message, arrived <-chan *Delivery) (*Delivery, error) {
	deadline, _ := ctx.Deadline() // await has set one
	publishing, stop := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	detach := context.AfterFunc(ctx, stop)
	outcome := make(chan error, 1)
	go func() {
		defer stop()
		outcome <- publishNow(publishing, c.broker, m)
	}()
	select {
	case d := <-arrived:
		detach() // ctx may end now: publishing must not
		return d, nil
	case err := <-outcome:
		if errors.Is(err, ErrUnknown) && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
		}
		if err != nil && len(arrived) == 0 {
			return nil, err
		}
	}
	select {
	case d := <-arrived:
		return d, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("no reply: %w", context.Cause(ctx))
	}
}

// awaited makes the message of an awaited call.
func (c *CallType[Req, Resp]) awaited(ctx context.Context, id int64, caller *Caller, request Req, options []AwaitOption) (Message, error) {
	o, err := applyOptions(options)
	if err != nil {
		return Message{}, err
	}
	o.replyTo = caller.cfg.Name
	o.useKeyRules(caller.cfg.KeyRules)
	if deadline, ok := ctx.Deadline(); ok && !o.expiry.hasIn && !o.expiry.hasAt && checkTime("deadline", deadline) == nil {
		o.expiry = expiry{at: deadline, hasAt: true}
	}
	rec, err := c.record(o, request)
	rec.Body = append([]byte(`{"id": `+strconv.FormatInt(id, 10)+", "), rec.Body[min(1, len(rec.Body)):]...)
	return rec.Message, err
}
