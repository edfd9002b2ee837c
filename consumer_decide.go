package parley

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// judge decides on the outcome of an attempt that returned err.
func (s *session) judge(j *job, err error) verdict {
	c := s.c
	if err == nil {
		c.kill.note(nil, 0)
		return verdict{action: actAck, outcome: OutcomeHandled}
	}
	if err == errUnhandled {
		if j.row != nil {
			return verdict{action: actPark, err: err} // it had a handler earlier: a failed message is never dropped
		}
		return c.unrouted(j.d)
	}
	if j.row != nil && j.row.isLost(err) {
		return verdict{action: actAbandon, err: err}
	}
	o, _ := errors.AsType[*outcomeError](err)
	if o != nil && o.ignore {
		return verdict{action: actAck, outcome: ignoredAs(err), err: err}
	}
	if s.hard.Err() != nil {
		return verdict{action: actReturn, err: err}
	}
	before := j.d.history.LastError
	j.d = j.d.failed(err, time.Now())
	j.repeated = j.d.history.LastError == before
	f := s.facts(j, err, o)
	c.kill.failing(j.d)
	if f.counted() && c.kill.note(err, j.retries+j.d.history.Replays) {
		s.trip()
	}
	f.paused, f.outage = c.kill.cause() != nil, c.kill.outage(j.began)
	v := decide(f)
	if s.probing && v.action == actWait && !f.immediate() {
		if f.early <= 0 {
			j.planned = time.Now().Add(v.wait)
		}
		v.wait = min(v.wait, c.kill.pause(time.Now()))
	}
	if (v.action == actWait && !f.immediate() || v.action == actRetry) && !v.putOff {
		j.retries++
	}
	if v.action == actReturn {
		s.trip() // before another worker takes the next job of its key
	}
	return v
}

// facts collects what is known about a failed attempt. Errors and policies are user code: if they panic, the message is parked.
func (s *session) facts(j *job, err error, o *outcomeError) (f facts) {
	f = facts{
		err: err, policy: s.c.policyOf(j.route), tries: j.tries, retries: j.retries, ordered: j.key != "", row: j.row != nil,
		store: s.rows != nil, shared: s.c.shared.Load(), probing: s.probing,
	}
	if s.probing {
		f.early = time.Until(j.planned)
	}
	if o != nil {
		f.after, f.park = o.retryAfter, o.park
	}
	defer func() {
		if v := recover(); v != nil {
			f.park, f.err = true, fmt.Errorf("retry policy: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	f.park = f.park || f.policy.permanent(err)
	return f
}

// facts are all inputs to the decision after a failed attempt.
type facts struct {
	err     error
	policy  RetryPolicy
	park    bool          // the handler or the policy says that no retry will help
	after   time.Duration // delay that the handler wants before the next attempt
	tries   int           // attempts since it was delivered or claimed
	retries int           // retry delays that are used up
	ordered bool          // it has an ordering key
	row     bool          // it was claimed from the failure store
	store   bool          // the consumer has a failure store
	shared  bool          // another library's consumers take from the queue: no copy may return to it
	paused  bool          // the kill switch is open
	probing bool          // this attempt is the kill switch's probe
	early   time.Duration // this probe came so long before the end of the delay that the plan wants
	outage  bool          // since this attempt began many have failed and none has succeeded
}

// decide returns the verdict on a job after a failed attempt. It is pure: the same facts give the same verdict.
func decide(f facts) verdict {
	exhausted := f.retries >= len(f.policy.Delays)
	switch {
	case f.park:
		return verdict{action: actPark, err: f.err}
	case f.immediate():
		return verdict{action: actWait, wait: spread(f.policy.Immediate[f.tries-1]), err: f.err}
	case f.early > 0:
		return verdict{action: actWait, wait: f.early, putOff: true, err: f.err}
	case f.row && (f.paused || f.outage):
		// The message did not cause the failure, so it must not use up its retry plan.
		return verdict{action: actRetry, wait: f.policy.putOff(f.retries), putOff: true, err: f.err}
	case f.paused && !f.probing && !f.row:
		return verdict{action: actReturn, err: f.err}
	case exhausted && f.outage && f.ordered && !f.store:
		return verdict{action: actWait, wait: f.policy.putOff(f.retries), putOff: true, err: f.err}
	case exhausted:
		return verdict{action: actPark, err: f.err}
	case !f.store && (f.ordered || f.shared):
		return verdict{action: actWait, wait: f.policy.delay(f.retries, f.after), err: f.err}
	}
	return verdict{action: actRetry, wait: f.policy.delay(f.retries, f.after), err: f.err}
}

// immediate reports whether the next attempt is an immediate retry in this process.
func (f *facts) immediate() bool {
	return f.after == 0 && f.retries == 0 && f.tries <= len(f.policy.Immediate) && !f.timedOut()
}

// timedOut reports whether the handler timed out although its message could wait elsewhere. If all handlers hang, in-process
// retries of a full prefetch would exceed the 30 minutes after which RabbitMQ closes the channel.
func (f *facts) timedOut() bool {
	return errors.Is(f.err, errHandlerTimeout) && len(f.policy.Delays) > 0
}

// counted reports whether the attempt counts as a failure for the kill switch: the message has had its immediate retries, or
// these block its ordering key. A row does not count: poison messages return from the failure store in a batch. A probe that
// has to be retried in this process counts once its plan is used up. It is repeated before the end of each delay of the plan, so that the
// end of an outage is noticed; such an early attempt does not count.
func (f *facts) counted() bool {
	if f.row || f.park || f.after != 0 || f.early > 0 {
		return false
	}
	if f.probing {
		return !f.immediate() && (f.store || !f.ordered || f.retries >= len(f.policy.Delays))
	}
	return f.ordered || !f.immediate()
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

// harmless returns err, or an error that parks the message if err's methods panic (a typed nil pointer). Reading an error must
// not crash the process.
func harmless(err error) (out error) {
	if err == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			out = Park(fmt.Errorf("read the handler's error, a %T: %w", err, &PanicError{Value: v, Stack: debug.Stack()}))
		}
	}()
	_ = err.Error()
	_ = errors.Is(err, errUnhandled)
	return err
}
