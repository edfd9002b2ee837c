package parley

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A RetryPolicy says how a failing delivery is retried before it is parked. First come a
// few immediate retries in this process, then longer waits in retry queues
// (`<queue>.retry.<delay>`), where the message blocks no other and survives the process. The zero
// value is the default policy; use [NoRetry] for none.
type RetryPolicy struct {
	// Immediate are the waits before the immediate retries in this process, at most 1m each and 20m together. Default: 100ms, 1s.
	Immediate []time.Duration
	// Delays are the waits in retry queues or the failure store, one attempt after each, at least 1s each.
	// Default: 10s, 1m, 10m.
	Delays []time.Duration
	// Permanent reports whether no retry can fix an error: then the delivery is parked at once.
	// Malformed bodies are always permanent. Default: none.
	Permanent func(err error) bool
}

// NoRetry parks a delivery after its first failure.
var NoRetry = RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{}}

// DefaultRetry is the policy of routes and consumers that have none.
var DefaultRetry = RetryPolicy{
	Immediate: []time.Duration{100 * time.Millisecond, time.Second},
	Delays:    []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute},
}

// unackedLimit bounds how long retries in the process keep a delivery unacked: immediate retries, and without a failure store all retries
// of an ordered route. RabbitMQ closes the channel of a delivery that is unacked for 30 minutes.
const unackedLimit = 20 * time.Minute

// over returns p with its nil fields set from base.
func (p RetryPolicy) over(base RetryPolicy) RetryPolicy {
	if p.Immediate == nil {
		p.Immediate = base.Immediate
	}
	if p.Delays == nil {
		p.Delays = base.Delays
	}
	if p.Permanent == nil {
		p.Permanent = base.Permanent
	}
	return p
}

func (p RetryPolicy) check() error {
	var errs []error
	together := time.Duration(0)
	for _, d := range p.Immediate {
		together += min(max(d, 0), unackedLimit+1)
		if d <= 0 || d > time.Minute {
			errs = append(errs, fmt.Errorf("RetryPolicy.Immediate %v must be positive and at most 1m: longer waits belong into Delays", d))
		}
	}
	if together > unackedLimit {
		errs = append(errs, fmt.Errorf("RetryPolicy.Immediate must be at most %v together: the delivery stays unacked meanwhile, and RabbitMQ closes "+
			"the channel after 30 minutes (use Delays)", unackedLimit))
	}
	for _, d := range p.Delays {
		if d < time.Second || d > 24*time.Hour || d%time.Second != 0 {
			errs = append(errs, fmt.Errorf("RetryPolicy.Delays %v must be whole seconds from 1s to 24h", d))
		}
	}
	return errors.Join(errs...)
}

// total returns the sum of all waits.
func (p RetryPolicy) total() (sum time.Duration) {
	for _, d := range slices.Concat(p.Immediate, p.Delays) {
		sum += d
	}
	return sum
}

// permanent reports whether no retry can fix err.
func (p RetryPolicy) permanent(err error) bool {
	if _, malformed := errors.AsType[*MalformedError](err); malformed {
		return true
	}
	return p.Permanent != nil && p.Permanent(err)
}

// Parks reports whether a delivery is parked at once after a handler's error, without a retry: after [Park], a malformed body or a
// permanent error. It is for tests of handlers.
func (p RetryPolicy) Parks(err error) bool {
	o, _ := errors.AsType[*outcomeError](err)
	return o != nil && o.park || err != nil && p.permanent(err)
}

// delay returns the n-th retry delay. If after is set, it returns the next longer delay of the
// policy, or the longest one.
func (p RetryPolicy) delay(n int, after time.Duration) time.Duration {
	if after <= 0 {
		return p.Delays[n]
	}
	sorted := slices.Sorted(slices.Values(p.Delays))
	for _, d := range sorted {
		if d >= after {
			return d
		}
	}
	return sorted[len(sorted)-1]
}

// putOff returns the wait before an attempt that does not use up the plan.
func (p RetryPolicy) putOff(retries int) time.Duration {
	if len(p.Delays) == 0 {
		return time.Minute
	}
	return p.Delays[min(retries, len(p.Delays)-1)]
}

// Retry sets a retry policy for one route. Its nil fields are the consumer's.
func Retry(p RetryPolicy) RouteOption { return func(o *routeOptions) { o.retry = p } }

// retryQueueName returns the name of a retry queue. It contains the delay, so that a
// changed policy declares another queue instead of causing a conflict (406).
func retryQueueName(queue string, delay time.Duration) string {
	return queue + ".retry." + delayName(delay)
}

// delayName writes whole seconds in the short form: 90s is 1m30s, 600s is 10m.
func delayName(d time.Duration) string {
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	name := ""
	for _, part := range []struct {
		n    int
		unit string
	}{{h, "h"}, {m, "m"}, {s, "s"}} {
		if part.n > 0 {
			name += fmt.Sprint(part.n, part.unit)
		}
	}
	return name
}

// ParkedQueue returns the name of the queue that keeps the parked messages of queue.
func ParkedQueue(queue string) string { return queue + ".parked" }

// retryTopology returns the retry queues for every delay that the routes use, and
// the parked queue.
func retryTopology(queue string, mode TopologyMode, delays []time.Duration, arguments map[string]any) Topology {
	t := Topology{Mode: mode, Queues: []Queue{{Name: ParkedQueue(queue), Role: QueueParked, Arguments: arguments}}}
	for _, d := range delays {
		t.Queues = append(t.Queues, Queue{Name: retryQueueName(queue, d), TTL: d, DeadLetterTo: queue, Role: QueueRetry, Arguments: arguments})
	}
	return t
}

// spread returns d ± 20 %: messages that failed together must not return together.
func spread(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5+1) }
