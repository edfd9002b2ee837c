package parley

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A RetryPolicy says how a failing delivery is tried again before it is parked: first a
// few times in this process, then after longer waits in delay queues
// (`<queue>.retry.<delay>`), where it holds up nobody and outlives the process. The zero
// value is the default policy; use [NoRetry] for none.
type RetryPolicy struct {
	// Quick are the waits before the tries in this process. Default: 100ms, 1s.
	Quick []time.Duration
	// Delays are the waits in delay queues, one try after each, at least 1s each.
	// Default: 10s, 1m, 10m.
	Delays []time.Duration
	// Permanent tells errors that no retry will mend: they park the delivery at once.
	// Malformed bodies always do. Default: none.
	Permanent func(err error) bool
}

// NoRetry parks a delivery after its first failure.
var NoRetry = RetryPolicy{Quick: []time.Duration{}, Delays: []time.Duration{}}

// DefaultRetry is the policy of routes and consumers that have none.
var DefaultRetry = RetryPolicy{
	Quick:  []time.Duration{100 * time.Millisecond, time.Second},
	Delays: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute},
}

// orderedLimit bounds how long the retries of an ordered route hold a delivery:
// RabbitMQ ends the channel of a consumer that settles nothing for 30 minutes.
const orderedLimit = 20 * time.Minute

// over returns p with what it leaves open filled in from base.
func (p RetryPolicy) over(base RetryPolicy) RetryPolicy {
	if p.Quick == nil {
		p.Quick = base.Quick
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
	for _, d := range p.Quick {
		if d <= 0 || d > time.Minute {
			errs = append(errs, fmt.Errorf("RetryPolicy.Quick %v must be positive and at most 1m: longer waits belong into Delays", d))
		}
	}
	for _, d := range p.Delays {
		if d < time.Second || d > 24*time.Hour || d%time.Second != 0 {
			errs = append(errs, fmt.Errorf("RetryPolicy.Delays %v must be whole seconds from 1s to 24h", d))
		}
	}
	return errors.Join(errs...)
}

// total is how long all waits take.
func (p RetryPolicy) total() (sum time.Duration) {
	for _, d := range slices.Concat(p.Quick, p.Delays) {
		sum += d
	}
	return sum
}

// permanent tells that no retry will mend err.
func (p RetryPolicy) permanent(err error) bool {
	if _, malformed := errors.AsType[*MalformedError](err); malformed {
		return true
	}
	return p.Permanent != nil && p.Permanent(err)
}

// delay returns the wait of the n-th hop. With after, it is the next longer delay of the
// policy, or the longest one.
func (p RetryPolicy) delay(hop int, after time.Duration) time.Duration {
	if after <= 0 {
		return p.Delays[hop]
	}
	sorted := slices.Sorted(slices.Values(p.Delays))
	for _, d := range sorted {
		if d >= after {
			return d
		}
	}
	return sorted[len(sorted)-1]
}

// Retry gives a route a retry policy of its own. What it leaves nil is the consumer's.
func Retry(p RetryPolicy) RouteOption { return func(o *routeOptions) { o.retry = p } }

// retryQueueName is the delay queue of a queue. Its name carries the delay, so that a
// changed policy makes another queue instead of a conflict (406).
func retryQueueName(queue string, delay time.Duration) string {
	return queue + ".retry." + delayName(delay)
}

// delayName writes whole seconds the short way: 90s is 1m30s, 600s is 10m.
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

// retryTopology returns the delay queues for every delay that the routes use, and
// the parked queue.
func retryTopology(queue string, mode TopologyMode, delays []time.Duration, arguments map[string]any) Topology {
	t := Topology{Mode: mode, Queues: []Queue{{Name: ParkedQueue(queue), Arguments: arguments}}}
	for _, d := range delays {
		t.Queues = append(t.Queues, Queue{Name: retryQueueName(queue, d), TTL: d, DeadLetterTo: queue, Arguments: arguments})
	}
	return t
}

// spread returns d, give or take a fifth: what failed together must not come back together.
func spread(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5+1) }
