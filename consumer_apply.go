package parley

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// Outcome is what happened to a delivery.
type Outcome string

// The outcomes of a delivery.
const (
	OutcomeHandled   Outcome = "handled"   // its handler returned nil
	OutcomeIgnored   Outcome = "ignored"   // its handler returned Ignore
	OutcomeDuplicate Outcome = "duplicate" // the inbox had its identity
	OutcomeExpired   Outcome = "expired"   // a command or call was received after its expiry
	OutcomeUnhandled Outcome = "unhandled" // it matches no route
	OutcomeRetried   Outcome = "retried"   // it waits in the failure store or a retry queue
	OutcomeBehind    Outcome = "behind"    // it waits in the failure store behind an earlier message of its key
	OutcomePaused    Outcome = "paused"    // it waits in the failure store until the end of an operator's pause
	OutcomeParked    Outcome = "parked"    // it is parked, in the failure store or the parked queue
	OutcomeReturned  Outcome = "returned"  // it returns to its queue or table: shutdown, or the kill switch
)

// A ConsumerReport describes the outcome of a delivery.
type ConsumerReport struct {
	Delivery *Delivery
	Outcome  Outcome
	// Err is the handler's last error, or nil.
	Err error
	// Took is how long the handler ran, summed over all attempts in this process.
	Took time.Duration
	// Attempts counts the attempts in this process.
	Attempts int
	// Delay is how long a retried delivery waits.
	Delay time.Duration
	// FromStore reports whether the delivery came from the failure store, not from the queue.
	FromStore bool
}

// apply carries out the verdict on a job.
func (s *session) apply(j *job) next {
	c, v := s.c, j.verdict
	switch v.action {
	case actWait:
		j.verdict = verdict{}
		c.logFailure(j, v, "retry in "+v.wait.Round(time.Millisecond).String()+" in this process")
		return next{again: true, after: v.wait}
	case actPostpone:
		j.verdict = verdict{}
		return next{again: true, after: v.wait}
	case actReturn:
		if j.row != nil {
			s.rows.release(j)
		}
		c.report(j, OutcomeReturned, v)
		return next{}
	case actAbandon:
		if j.row != nil {
			j.row.run.broken.Store(true) // another process may be handling the rest of its run
			s.rows.forget(j)             // renewing a lost claim is pointless, and the claim would keep the body until the session ends
		}
		s.stored(j)
		if c.cfg.Hooks.Stale != nil {
			c.cfg.Hooks.Stale(j.d)
		}
		return next{}
	case actRetry, actAppend, actPark:
		return s.moveAside(j)
	}
	_ = failpoint.Hit("consumer.handled")
	if j.row != nil {
		if err := s.rows.done(s.hard, j); err != nil {
			return s.notDone(j, err)
		}
	} else {
		c.settle(s.hard, j, SettleAck)
	}
	_ = failpoint.Hit("consumer.acked")
	c.report(j, v.outcome, v)
	return next{}
}

// notDone retries deleting the row of a handled job. If the claim is lost another process handles the row again: the
// handler had no transaction that would have deleted it.
func (s *session) notDone(j *job, err error) next {
	if errors.Is(err, ErrClaimLost) {
		j.verdict = verdict{action: actAbandon}
		return s.apply(j)
	}
	return s.tryAgain(j, err)
}

// moveAside stores a failed delivery where it survives this process, and only then acks it.
func (s *session) moveAside(j *job) next {
	c, v := s.c, j.verdict
	if err := s.store(j); err != nil {
		return s.cannotStore(j, err)
	}
	s.stored(j)
	c.kill.stored()
	outcome := OutcomeParked
	switch v.action {
	case actRetry:
		_ = failpoint.Hit("consumer.retried")
		outcome = OutcomeRetried
		c.logFailure(j, v, "retry in "+v.wait.String())
	case actAppend:
		if outcome = OutcomeBehind; v.pause != "" {
			outcome = OutcomePaused
		}
	default:
		_ = failpoint.Hit("consumer.parked")
		c.logFailure(j, v, "parked")
	}
	if j.row == nil {
		c.settle(s.hard, j, SettleAck)
	}
	c.report(j, outcome, v)
	return next{}
}

// store writes a job into the failure store, or publishes a copy to the retry or parked queue, and waits until it is safe.
func (s *session) store(j *job) error {
	v := j.verdict
	j.d.history.Retries, j.d.history.begun = j.retries, 0
	switch {
	case s.rows != nil && j.row != nil:
		return s.rows.settle(s.hard, j, v)
	case s.rows != nil:
		return s.rows.keep(s.hard, j, v)
	case v.action == actPark:
		return s.park(j, v)
	case v.begun > 0:
		j.d.history.begun = v.begun
		return s.c.move(s.hard, retryCopy(j.d.Message, s.c.cfg.Queue, s.c.cfg.Queue, j.d.history, s.c.secrets[0]))
	}
	target := retryQueueName(s.c.cfg.Queue, v.wait)
	return s.c.move(s.hard, retryCopy(j.d.Message, s.c.cfg.Queue, target, j.d.history, s.c.secrets[0]))
}

// cannotStore keeps a delivery in hand until it is stored. Once such deliveries fill half of the prefetch, consumption
// pauses: they would leave no room for others.
func (s *session) cannotStore(j *job, err error) next {
	c := s.c
	if errors.Is(err, ErrClaimLost) {
		j.verdict = verdict{action: actAbandon}
		return s.apply(j)
	}
	if s.hard.Err() != nil {
		return next{}
	}
	if s.probing && j.row == nil {
		c.kill.note(err, 0)
		s.trip()
		j.verdict = verdict{action: actReturn, err: j.verdict.err}
		return s.apply(j)
	}
	if s.rows == nil {
		c.repairQueues(s.hard, err)
		if j.verdict.action == actRetry && errors.Is(err, ErrRefused) {
			j.verdict = verdict{action: actPark, err: j.verdict.err} // no retry gets it into the retry queue
		}
	}
	if n := s.notStored(j, err); n > c.cfg.Prefetch/2 {
		c.kill.trip(fmt.Errorf("failed deliveries cannot be stored: %w", err))
		s.trip()
	}
	return s.tryAgain(j, err)
}

// notStored counts a delivery that stays in hand, for Health and hooks, and returns how many there are.
func (s *session) notStored(j *job, err error) int {
	if j.unstored {
		return int(s.c.unstored.Load())
	}
	j.unstored = true
	s.c.cfg.Logger.Error("consumer: cannot store the failed delivery (table, retry queue or parked queue), it stays unacked", s.c.attrs(j.d, err)...)
	if s.c.cfg.Hooks.Unstored != nil {
		s.c.cfg.Hooks.Unstored(j.d, err)
	}
	return int(s.c.unstored.Add(1))
}

// stored removes a delivery from that count.
func (s *session) stored(j *job) {
	if j.unstored && s.live.Err() == nil {
		j.unstored = false
		s.c.unstored.Add(-1)
	}
}

// tryAgain carries out the same verdict after a delay.
func (s *session) tryAgain(j *job, err error) next {
	if s.hard.Err() != nil {
		return next{}
	}
	s.c.cfg.Logger.Debug("consumer: settling or storing a delivery failed, retrying", s.c.attrs(j.d, err)...)
	return next{again: true, after: spread(storeInterval)}
}

// storeInterval is the delay before storing a delivery is retried.
const storeInterval = 5 * time.Second

// park publishes a copy to the parked queue and waits for the broker's confirm.
func (s *session) park(j *job, v verdict) error {
	m := parkedMessage(j.d, s.c.cfg.Queue, v.err, s.c.secrets[0])
	err := s.c.move(s.hard, m)
	if errors.Is(err, ErrRefused) {
		err = s.c.move(s.hard, reducedCopy(m, err, s.c.cfg.Queue, s.c.secrets[0]))
	}
	if err != nil {
		return err
	}
	s.c.holdKey(j)
	return nil
}

// parkReason returns the reason that operators read.
func parkReason(cause error) string {
	reason := shorten(cause.Error(), 500)
	if p, ok := errors.AsType[*PanicError](cause); ok {
		reason += "\n" + shorten(string(p.Stack), 3000)
	}
	return reason
}

func parkedMessage(d *Delivery, queue string, cause error, secret []byte) Message {
	if errors.Is(cause, errForged) {
		return unverifiedCopy(d.Message, queue, cause) // an operator decides whether to trust it
	}
	h := d.history
	h.Reason = parkReason(cause)
	return retryCopy(d.Message, queue, ParkedQueue(queue), h, secret)
}

// move publishes a copy to a retry or parked queue and waits for the broker's confirm.
func (c *Consumer) move(ctx context.Context, m Message) error {
	if errs := c.broker.Publish(ctx, []Message{m}); errs != nil && errs[0] != nil {
		return fmt.Errorf("publish to queue %q: %w", m.RoutingKey, errs[0])
	}
	return nil
}

// repairQueues declares the retry and parked queues again after one of them was deleted.
func (c *Consumer) repairQueues(ctx context.Context, err error) {
	if !errors.Is(err, ErrUnroutable) {
		return
	}
	if err := c.declareRetryQueues(ctx); err != nil && ctx.Err() == nil {
		c.cfg.Logger.Warn("consumer: declaring the retry queues failed, retrying", "queue", c.cfg.Queue, "err", err)
	}
}

func (c *Consumer) logFailure(j *job, v verdict, next string) {
	attrs := append(c.attrs(j.d, v.err), "attempts", j.d.history.Attempts, "next", next)
	if p, ok := errors.AsType[*PanicError](v.err); ok && !j.repeated {
		attrs = append(attrs, "stack", panicStack(p.Stack))
	}
	if v.action == actPark {
		c.cfg.Logger.Error("consumer: delivery parked", attrs...)
		return
	}
	c.cfg.Logger.Warn("consumer: delivery failed", attrs...)
}

// unrouted decides on a delivery that matches no route.
func (c *Consumer) unrouted(d *Delivery) verdict {
	if c.cfg.Hooks.Unhandled != nil {
		c.cfg.Hooks.Unhandled(d)
	}
	if c.cfg.Unhandled == UnhandledPark {
		return verdict{action: actPark, err: errUnhandled}
	}
	if c.unhandled.first(routeAddress{d.Exchange, d.RoutingKey}) {
		c.cfg.Logger.Warn("consumer: no route for message, acked and dropped", c.attrs(d, nil)...)
	}
	return verdict{action: actAck, outcome: OutcomeUnhandled}
}

// warnings are the addresses that were already warned about. Their number is limited because they come from the network.
type warnings struct {
	mu   sync.Mutex // guards the field below
	seen map[routeAddress]bool
}

// first reports whether a was not warned about before.
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
