package parley

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// KillSwitchConfig says when a consumer stops consuming because too much fails at once: then the
// fault is not in the messages, and they are better off in the queue. The
// consumer probes with one delivery at a time, after a second at first, later after up to an eighth of
// the time that this has lasted, at most 30s, until one succeeds.
type KillSwitchConfig struct {
	// Share of failed deliveries, 0 to 1, that trips the switch. Default: 0.5. Above 1 it never trips.
	Share float64
	// Minimum is how many deliveries must have had an outcome within Window. Three times as many messages
	// that fail for the first time, with no success between them, trip the switch whatever was handled before. Default: 10.
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
		*errs = append(*errs, errors.New("parley: ConsumerConfig.KillSwitch.Window is too short"))
	}
}

// killSwitchSlots divide the window.
const killSwitchSlots = 6

// A killSwitch counts outcomes in slots of time.
type killSwitch struct {
	cfg KillSwitchConfig

	mu      sync.Mutex // guards the fields below
	slots   [killSwitchSlots]struct{ good, bad int }
	streak  int       // messages that have failed for the first time since the last success
	current int64     // number of the newest slot since the epoch
	open    error     // why consuming is paused
	since   time.Time // when it was tripped
	probing bool
}

// note counts an outcome, of a message that has failed so many times earlier, and returns true when it has just tripped the switch.
func (k *killSwitch) note(failure error, earlier int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.probing {
		if failure == nil {
			k.open, k.probing, k.streak = nil, false, 0
			clear(k.slots[:])
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
	if k.open != nil || good+bad < k.cfg.Minimum || float64(bad) <= k.cfg.Share*float64(good+bad) && !k.inARow(bad) {
		return false
	}
	k.since = time.Now()
	k.open = fmt.Errorf("%d of %d deliveries failed: %w", bad, good+bad, failure)
	return true
}

// streakFactor times the minimum of failures in a row trip the switch.
const streakFactor = 3

// inARow tells that so many messages have failed, with no success between them, that the fault is not theirs. After a busy
// minute it would take as many failures as there were successes to get the share up. Only those that fail for the first time
// count: poison comes back from its delay queue together. bad counts the failures within the window; mu is held.
func (k *killSwitch) inARow(bad int) bool {
	return k.cfg.Share <= 1 && min(bad, k.streak) >= streakFactor*k.cfg.Minimum
}

func (k *killSwitch) advance(now time.Time) {
	slot := now.UnixNano() / int64(k.cfg.Window/killSwitchSlots)
	for n := max(k.current, slot-killSwitchSlots); n < slot; n++ {
		k.slots[(n+1)%killSwitchSlots] = struct{ good, bad int }{}
	}
	k.current = max(k.current, slot)
}

// cause returns why consuming is paused, or nil.
func (k *killSwitch) cause() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

// The pause before a probe: an eighth of the time that the trouble has lasted, within these bounds.
const (
	shortestPause = time.Second
	longestPause  = 30 * time.Second
)

// pause returns how long to wait before the next probe. It grows with the outage and not with the number of probes: one
// that has lasted a minute is not to last half a minute longer here.
func (k *killSwitch) pause(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	limit := min(max(now.Sub(k.since)/8, shortestPause), longestPause)
	return limit/2 + jitter(limit/2)
}

// probe says that the next delivery decides.
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
