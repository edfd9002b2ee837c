package parley

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// Outcome is what became of a delivery.
type Outcome string

// The outcomes of a delivery.
const (
	OutcomeHandled   Outcome = "handled"   // its handler returned nil
	OutcomeIgnored   Outcome = "ignored"   // its handler said so
	OutcomeDuplicate Outcome = "duplicate" // the inbox knew it
	OutcomeExpired   Outcome = "expired"   // a command or call came after its time
	OutcomeUnhandled Outcome = "unhandled" // no route takes it
	OutcomeRetried   Outcome = "retried"   // it is in a delay queue
	OutcomeParked    Outcome = "parked"    // it is in the parked queue
	OutcomeReturned  Outcome = "returned"  // it goes back to its queue: a stop, or the kill switch
)

// A ConsumerReport tells how a delivery fared.
type ConsumerReport struct {
	Delivery *Delivery
	Outcome  Outcome
	// Err is the handler's last error, or nil.
	Err error
	// Took is how long the handler ran, all tries in this process together.
	Took time.Duration
	// Attempts counts the tries in this process.
	Attempts int
	// Delay is the delay of the queue that a retried delivery is in.
	Delay time.Duration
}

type action int

const (
	actNone   action = iota
	actAck           // settle it as done
	actRest          // try again in this process
	actHop           // try again from a delay queue
	actPark          // set it aside
	actReturn        // leave it unsettled: it returns to its queue with the channel
)

// A verdict is what is to be done with a delivery after an attempt.
type verdict struct {
	action  action
	wait    time.Duration
	outcome Outcome
	err     error
}

var (
	errHandlerTimeout = errors.New("handler did not return in time")
	errUnhandled      = errors.New("no handler for its exchange and routing key")
	errSeenTooOften   = errors.New("delivered too often without an outcome: does it end the process?")
)

// attempt calls the handler once. It reports a handler that does not return; replaced tells that
// another worker has taken over.
func (c *Consumer) attempt(l *lanes, j *job) (err error, replaced bool) {
	if j.route == nil {
		return errUnhandled, false
	}
	if !j.began && c.cfg.Hooks.Start != nil {
		c.cfg.Hooks.Start(j.d)
	}
	j.began = true
	j.tries++
	j.started = time.Now()
	ctx, cancel := context.WithTimeoutCause(l.hard, c.cfg.HandlerTimeout, errHandlerTimeout)
	watchdog := time.AfterFunc(c.cfg.HandlerTimeout+c.cfg.StuckAfter, func() { l.reportStuck(j) })
	defer func() {
		cancel()
		if !watchdog.Stop() {
			replaced = l.returned()
			j.replaced = replaced
		}
		j.took += time.Since(j.started)
	}()
	err = failpoint.Hit("consumer.handling")
	if err == nil {
		err = protect(WithCorrelationID(ctx, j.d.CorrelationID), j.route.handler, j.d)
	}
	if err != nil && context.Cause(ctx) == errHandlerTimeout && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%v): %w", errHandlerTimeout, c.cfg.HandlerTimeout, err)
	}
	return err, replaced
}

// reportStuck is called when a handler ignores the end of its context. Go cannot end it: another worker
// takes its place, until there are too many of them.
func (l *lanes) reportStuck(j *job) {
	l.mu.Lock()
	l.stuck++
	total := l.c.stuck.Add(1)
	if int(total) < l.c.cfg.MaxStuck {
		l.workers.Go(l.work) // the stuck worker is still counted, so nobody's Wait has ended
	}
	l.mu.Unlock()
	l.c.cfg.Logger.Error("consumer: handler ignores the end of its context", append(l.c.attrs(j.d, nil),
		"running", time.Since(j.started).String(), "goroutines", allStacks())...)
	if l.c.cfg.Hooks.Stuck != nil {
		l.c.cfg.Hooks.Stuck(j.d, time.Since(j.started))
	}
}

// returned takes back a report of a stuck handler.
func (l *lanes) returned() (replaced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stuck == 0 {
		return false
	}
	l.stuck--
	return int(l.c.stuck.Add(-1))+1 < l.c.cfg.MaxStuck
}

func allStacks() string {
	buf := make([]byte, 64<<10)
	return string(buf[:runtime.Stack(buf, true)])
}

// decide says what becomes of a delivery after an attempt that returned err.
func (c *Consumer) decide(l *lanes, j *job, err error) verdict {
	if err == nil {
		c.kill.note(nil, 0)
		return verdict{action: actAck, outcome: OutcomeHandled}
	}
	if err == errUnhandled {
		return c.unrouted(j.d)
	}
	o, _ := errors.AsType[*outcomeError](err)
	if o != nil && o.ignore {
		return verdict{action: actAck, outcome: ignoredAs(err), err: err}
	}
	if l.hard.Err() != nil {
		return verdict{action: actReturn, err: err}
	}
	j.d.history.note(err, time.Now())
	j.d.Attempt = j.d.history.Attempts + 1
	policy := c.policyOf(j.route)
	if o != nil && o.park || policy.permanent(err) {
		return verdict{action: actPark, err: err}
	}
	var after time.Duration
	if o != nil {
		after = o.retryAfter
	}
	return c.retry(l, j, policy, after, err)
}

// retry says how a delivery is tried again, if it is.
func (c *Consumer) retry(l *lanes, j *job, policy RetryPolicy, after time.Duration, err error) verdict {
	if after == 0 && j.hops == 0 && j.tries <= len(policy.Quick) && !slow(policy, err) {
		return verdict{action: actRest, wait: spread(policy.Quick[j.tries-1]), err: err}
	}
	exhausted := j.hops >= len(policy.Delays)
	// A probe of an ordered route goes through its whole plan here, as it cannot move on.
	waits := j.key != "" && !exhausted && c.kill.isProbing()
	if after == 0 && !waits && c.tripped(l, j, err) {
		return verdict{action: actReturn, err: err}
	}
	if exhausted {
		return verdict{action: actPark, err: err}
	}
	wait := policy.delay(j.hops, after)
	j.hops++
	if j.key != "" {
		return verdict{action: actRest, wait: wait, err: err}
	}
	return verdict{action: actHop, wait: wait, err: err}
}

// slow tells that a handler was ended by its timeout and that there is a delay queue for its message. If all handlers hang, several
// tries here of all that is in hand take longer than the 30 minutes after which RabbitMQ ends the channel.
func slow(policy RetryPolicy, err error) bool {
	return errors.Is(err, errHandlerTimeout) && len(policy.Delays) > 0
}

// tripped counts a failure. When too much fails, it ends the session: the deliveries go
// back to their queue instead of through the delay queues.
func (c *Consumer) tripped(l *lanes, j *job, err error) bool {
	probing := c.kill.isProbing()
	if c.kill.note(err, j.hops+j.d.history.Replays) {
		l.mu.Lock()
		l.end()
		l.wakeAll()
		l.mu.Unlock()
	}
	// A probe moves on: a poisonous message would be the next probe, and the next.
	return c.kill.cause() != nil && !probing
}

func ignoredAs(err error) Outcome {
	switch {
	case errors.Is(err, ErrDuplicate):
		return OutcomeDuplicate
	case errors.Is(err, ErrExpired):
		return OutcomeExpired
	}
	return OutcomeIgnored
}

// unrouted decides on what nobody handles.
func (c *Consumer) unrouted(d *Delivery) verdict {
	if c.cfg.Hooks.Unhandled != nil {
		c.cfg.Hooks.Unhandled(d)
	}
	if c.cfg.Unhandled == UnhandledPark {
		return verdict{action: actPark, err: errUnhandled}
	}
	if c.unhandled.first(routeAddress{d.Exchange, d.RoutingKey}) {
		c.cfg.Logger.Warn("consumer: no handler for this message, acknowledges it", c.attrs(d, nil)...)
	}
	return verdict{action: actAck, outcome: OutcomeUnhandled}
}

// warnings remember what has been warned about; a limited number, as it comes from the network.
type warnings struct {
	mu   sync.Mutex // guards the field below
	seen map[routeAddress]bool
}

// first tells that a was not warned about yet.
func (w *warnings) first(a routeAddress) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[a] {
		return false
	}
	if w.seen == nil || len(w.seen) >= 1000 {
		w.seen = map[routeAddress]bool{}
	}
	w.seen[a] = true
	return true
}

// carryOut does what was decided. again tells that the job rests and comes back.
func (c *Consumer) carryOut(l *lanes, j *job) (wait time.Duration, again bool) {
	v := j.next
	switch v.action {
	case actRest:
		j.next = verdict{}
		c.logFailure(j, v, "waits in this process")
		return v.wait, true
	case actReturn:
		c.report(j, OutcomeReturned, v)
		return 0, false
	case actHop:
		if err := c.hop(l.hard, j, v); err != nil {
			return c.hopLater(l, j, err)
		}
		_ = failpoint.Hit("consumer.hopped")
		c.logFailure(j, v, "waits in a delay queue")
		c.settle(j.d, Ack)
		c.report(j, OutcomeRetried, v)
		return 0, false
	case actPark:
		if err := c.park(l.hard, j, v); err != nil {
			return c.hopLater(l, j, err)
		}
		_ = failpoint.Hit("consumer.parked")
		c.logFailure(j, v, "parked")
		c.settle(j.d, Ack)
		c.report(j, OutcomeParked, v)
		return 0, false
	}
	_ = failpoint.Hit("consumer.handled")
	c.settle(j.d, Ack)
	_ = failpoint.Hit("consumer.acked")
	c.report(j, v.outcome, v)
	return 0, false
}

// hopLater keeps a delivery in hand until its copy is safe in another queue.
func (c *Consumer) hopLater(l *lanes, j *job, err error) (wait time.Duration, again bool) {
	if l.hard.Err() != nil {
		return 0, false
	}
	if j.next.action == actHop && errors.Is(err, ErrRefused) {
		j.next = verdict{action: actPark, err: j.next.err} // no try will get it into the delay queue
	}
	c.cfg.Logger.Error("consumer: cannot move a failed delivery aside, keeps it", c.attrs(j.d, err)...)
	return spread(5 * time.Second), true
}

// hop publishes a copy to a delay queue and waits for the broker's confirmation.
func (c *Consumer) hop(ctx context.Context, j *job, v verdict) error {
	j.d.history.hops = j.hops
	target := retryQueueName(c.cfg.Queue, v.wait)
	return c.move(ctx, hopMessage(j.d.Message, c.cfg.Queue, target, j.d.history, c.secrets[0]))
}

// park publishes a copy to the parked queue and waits for the broker's confirmation.
func (c *Consumer) park(ctx context.Context, j *job, v verdict) error {
	j.d.history.hops = j.hops
	m := parkedMessage(j.d, c.cfg.Queue, v.err, c.secrets[0])
	err := c.move(ctx, m)
	if errors.Is(err, ErrRefused) {
		err = c.move(ctx, ownHeadersOnly(m, err))
	}
	if err != nil {
		return err
	}
	c.holdKey(j)
	return nil
}

func parkedMessage(d *Delivery, queue string, cause error, secret []byte) Message {
	if errors.Is(cause, errForged) {
		m := d.Message // as it came: an operator decides whether to trust it
		m.SetHeader(headerReason, cause.Error())
		m.SetHeader(headerSignature, "")
		m.Exchange, m.RoutingKey = "", ParkedQueue(queue)
		return m
	}
	h := d.history
	h.Reason = shorten(cause.Error(), 500)
	if p, ok := errors.AsType[*PanicError](cause); ok {
		h.Reason += "\n" + shorten(string(p.Stack), 3000)
	}
	return hopMessage(d.Message, queue, ParkedQueue(queue), h, secret)
}

func (c *Consumer) move(ctx context.Context, m Message) error {
	if errs := c.broker.Publish(ctx, []Message{m}); errs != nil && errs[0] != nil {
		return fmt.Errorf("publish to queue %q: %w", m.RoutingKey, errs[0])
	}
	return nil
}

func (c *Consumer) logFailure(j *job, v verdict, done string) {
	attrs := append(c.attrs(j.d, v.err), "attempts", j.d.history.Attempts, "done", done)
	if v.action != actPark {
		attrs = append(attrs, "wait", v.wait.String())
	}
	if p, ok := errors.AsType[*PanicError](v.err); ok {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	c.cfg.Logger.Error("consumer: delivery failed", attrs...)
}

func (c *Consumer) report(j *job, outcome Outcome, v verdict) {
	if c.cfg.Hooks.Done == nil {
		return
	}
	r := ConsumerReport{Delivery: j.d, Outcome: outcome, Err: v.err, Took: j.took, Attempts: j.tries}
	if outcome == OutcomeRetried {
		r.Delay = v.wait
	}
	c.cfg.Hooks.Done(r)
}

// deliveryCount is how often a quorum queue has delivered the message before.
func deliveryCount(d *Delivery) int {
	switch n := d.Headers["x-delivery-count"].(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	case string:
		count, _ := strconv.Atoi(n)
		return count
	}
	return 0
}
