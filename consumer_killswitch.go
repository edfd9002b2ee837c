package parley

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// KillSwitchConfig says when consumption pauses because of a high failure rate. Such a rate points to a
// failing dependency, not to the messages, so they stay in the queue. The consumer probes with
// single deliveries until one succeeds. The wait before a probe is at most 1/8 of the outage so far, within 1–30 s.
type KillSwitchConfig struct {
	// Share is the share of failed deliveries, from 0 to 1, that trips the switch. Default: 0.5. Above 1 it never trips.
	Share float64
	// Minimum is how many deliveries must have an outcome within Window before Share applies. Whatever was
	// handled before, 3 × Minimum failed messages in a row trip the switch too; retries and replays do not count. Default: 10.
	Minimum int
	// Window is how far back outcomes count. Default: 1m.
	Window time.Duration
}

func (k *KillSwitchConfig) complete(errs *[]error) {
	if k.Share < 0 {
		*errs = append(*errs, errors.New("parley: ConsumerConfig.KillSwitch.Share must not be negative"))
	}
	if k.Share == 0 {
		k.Share = 0.5
	}
	setDefault(&k.Minimum, 10, "ConsumerConfig.KillSwitch.Minimum", errs)
	setDefault(&k.Window, time.Minute, "ConsumerConfig.KillSwitch.Window", errs)
	if k.Window > 0 && k.Window < killSwitchSlots {
		*errs = append(*errs, errors.New("parley: ConsumerConfig.KillSwitch.Window must be at least 6ns"))
	}
}

// killSwitchSlots is the number of slots of a window.
const killSwitchSlots = 6

// A killSwitch counts outcomes in time slots.
type killSwitch struct {
	cfg KillSwitchConfig

	mu      sync.Mutex // guards the fields below
	slots   [killSwitchSlots]struct{ good, bad int }
	streak  int       // messages in a row that failed on their first attempt
	current int64     // number of the newest slot since the epoch
	open    error     // why consumption is paused
	since   time.Time // when the switch tripped
	probing bool
	noted   int                  // outcomes that were counted
	storing bool                 // tripped because failed deliveries could not be stored
	success time.Time            // time of the last success
	failed  map[uint64]time.Time // messages that failed since then, and when; a limited number
}

// note counts an outcome and reports whether it has just tripped the switch. earlier is the number of earlier failures of the message.
func (k *killSwitch) note(failure error, earlier int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.noted++
	if failure == nil {
		k.success = time.Now()
		clear(k.failed)
	}
	if k.probing {
		if failure == nil {
			k.close()
			return false
		}
		k.open = failure
		return true
	}
	k.advance(time.Now())
	slot := &k.slots[k.current%killSwitchSlots]
	if failure == nil {
		slot.good++
		k.streak = 0
		return false
	}
	slot.bad++
	if earlier == 0 {
		k.streak++
	}
	good, bad := 0, 0
	for _, s := range k.slots {
		good, bad = good+s.good, bad+s.bad
	}
	if k.open != nil || good+bad < k.cfg.Minimum || float64(bad) <= k.cfg.Share*float64(good+bad) && !k.consecutiveFailures(bad) {
		return false
	}
	k.since = time.Now()
	k.open = fmt.Errorf("%d of %d deliveries failed: %w", bad, good+bad, failure)
	return true
}

// streakFactor × Minimum failures in a row trip the switch.
const streakFactor = 3

// consecutiveFailures reports whether streakFactor × Minimum messages in a row failed on their first attempt. Without it, a
// busy minute would need as many failures as it had successes to reach the share. Retries and replays do not count: poison
// messages return from the retry queue in a batch. bad counts the failures within the window; mu is held.
func (k *killSwitch) consecutiveFailures(bad int) bool {
	return k.cfg.Share <= 1 && min(bad, k.streak) >= streakFactor*k.cfg.Minimum
}

// Messages that failed since the last success are remembered for a day, up to a limit.
const (
	failedLimit  = 1000
	failedMemory = 24 * time.Hour
)

// failing notes a failed attempt of d, whether or not it counts for the switch.
func (k *killSwitch) failing(d *Delivery) {
	key := digestOf(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed == nil {
		k.failed = map[uint64]time.Time{}
	}
	if len(k.failed) < failedLimit {
		k.failed[key] = time.Now()
	}
}

// outage reports whether no attempt has succeeded since then while at least Minimum different messages failed: the messages did
// not cause that. One message that fails repeatedly, on a queue without traffic, is no outage.
func (k *killSwitch) outage(since time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.success.After(since) || k.cfg.Share > 1 {
		return false
	}
	now := time.Now()
	maps.DeleteFunc(k.failed, func(_ uint64, at time.Time) bool { return now.Sub(at) > failedMemory })
	return len(k.failed) >= k.cfg.Minimum
}

// trip opens the switch for a cause other than a failed attempt.
func (k *killSwitch) trip(cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open == nil {
		k.open, k.since, k.storing = cause, time.Now(), true
	}
}

// stored closes the switch if it had tripped because failed deliveries could not be stored: one was stored now.
func (k *killSwitch) stored() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.storing && k.probing {
		k.close()
	}
}

// close resumes consumption; mu is held.
func (k *killSwitch) close() {
	k.open, k.probing, k.storing, k.streak = nil, false, false, 0
	clear(k.slots[:])
}

func (k *killSwitch) advance(now time.Time) {
	slot := now.UnixNano() / int64(k.cfg.Window/killSwitchSlots)
	for n := max(k.current, slot-killSwitchSlots); n < slot; n++ {
		k.slots[(n+1)%killSwitchSlots] = struct{ good, bad int }{}
	}
	k.current = max(k.current, slot)
}

// cause returns why consumption is paused, or nil.
func (k *killSwitch) cause() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

// The wait before a probe is at most an eighth of the outage so far, within these bounds.
const (
	shortestPause = time.Second
	longestPause  = 30 * time.Second
)

// pause returns how long to wait before the next probe. It grows with the duration of the outage and not with the number of
// probes: an outage of a minute must not last half a minute longer here.
func (k *killSwitch) pause(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	limit := min(max(now.Sub(k.since)/8, shortestPause), longestPause)
	return limit/2 + jitter(limit/2)
}

// notes returns how many outcomes were counted so far.
func (k *killSwitch) notes() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.noted
}

// probe makes the next delivery the probe.
func (k *killSwitch) probe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.probing = true
}

func (k *killSwitch) isProbing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.probing
}
