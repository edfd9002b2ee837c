package parley

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// busyPace is the mean time between records up to which a relay stays awake: a busy publisher must not pay for wake-ups. With
	// rarer records a wake-up is cheaper than empty looks, and faster.
	busyPace = 1500 * time.Microsecond
	// slowPace limits what a pause counts in that mean.
	slowPace = 20 * time.Millisecond
	// lingerTime is how long a busy relay looks for further records before it sleeps.
	lingerTime = 10 * time.Millisecond
	// crowdedPace is the mean time between records below which a relay lets them gather: larger batches cost less.
	crowdedPace = 250 * time.Microsecond
	// unsettledLimit bounds the wait between two looks while an older transaction may still commit without a wake-up.
	unsettledLimit = time.Second
)

// A sleepiness is how far a relay is on its way to sleep. Only this order of the steps loses no wake-up: raise the flag,
// take the snapshot (both in Raise), test whether it is settled, look once more.
type sleepiness struct {
	found  time.Time     // when records were last found
	pace   time.Duration // between records, a moving average
	pause  time.Duration // before the next empty look
	series uint64        // of the flag
	tested bool          // the series was settled before the last look
	wait   time.Duration // before the next look, while it is not settled
}

// find notes that a look has found records.
func (s *sleepiness) find(records int) {
	now := time.Now()
	pace := min(now.Sub(s.found), slowPace) / time.Duration(records)
	*s = sleepiness{found: now, pace: (3*s.pace + pace) / 4}
}

// linger returns the wait before the next look of a relay that stays awake. It grows with each empty look.
func (s *sleepiness) linger() (time.Duration, bool) {
	if s.pace > busyPace || time.Since(s.found) > lingerTime {
		return 0, false
	}
	wait := s.pause
	if s.pause = max(2*s.pause, 250*time.Microsecond); s.pace < crowdedPace {
		wait = time.Millisecond + rand.N(2*time.Millisecond)
	}
	return wait, true
}

// readyToSleep stores the flag of a watcher.
func (r *Relay) readyToSleep(flag SleepFlag) { r.flag.Store(&flag) }

// sleepFlag returns the flag, or nil if there is none.
func (r *Relay) sleepFlag() SleepFlag {
	if f := r.flag.Load(); f != nil {
		return *f
	}
	return nil
}

// leads sets the state after a claim that succeeded. At rest the relay that has raised the flag leads, so an empty claim
// decides nothing if there is a flag.
func (r *Relay) leads(records int) {
	if records > 0 {
		r.sleepy.find(records)
	}
	if records > 0 || r.cfg.Mode == RelayModeParallel || r.sleepFlag() == nil {
		r.setState(RelayActive)
	}
}

// lingers returns the short wait after a batch that was not full, if the relay is not to sleep yet.
func (r *Relay) lingers() (time.Duration, bool) {
	if r.sleepFlag() == nil {
		return 0, false
	}
	return r.sleepy.linger()
}

// fallAsleep takes the next step to sleep after a look that has found nothing. It returns how long to wait for a wake-up,
// at most wait. standby reports that another ordered relay leads.
func (r *Relay) fallAsleep(ctx context.Context, wait time.Duration) (_ time.Duration, standby bool) {
	flag := r.sleepFlag()
	if flag == nil {
		return wait, false
	}
	// A listener whose connection is silently cut must not delay the poll.
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, min(r.cfg.PollInterval/2, unsettledLimit))
	defer cancel()
	tested := r.sleepy.tested
	r.sleepy.tested = false
	if r.cfg.Mode == RelayModeParallel {
		if due, err := flag.Due(limited, r.heldExchanges()); err != nil || due {
			return min(wait, 20*time.Millisecond+rand.N(30*time.Millisecond)), false
		}
	}
	state, err := flag.Raise(limited)
	if err != nil {
		return r.staysAwake(ctx, wait-time.Since(began), err), false
	}
	if !state.Mine {
		if r.cfg.Mode == RelayModeOrdered {
			return wait, true
		}
		wait = min(wait, r.cfg.StandbyInterval) // its owner may die
	}
	r.setState(RelayActive)
	if state.Series != r.sleepy.series {
		r.sleepy.series, r.sleepy.wait = state.Series, 0
	} else if tested {
		r.sleepy.tested = true
		return wait, false
	}
	settled, err := flag.Settled(limited)
	if err != nil {
		return r.staysAwake(ctx, wait-time.Since(began), err), false
	}
	if settled {
		r.sleepy.tested = true
		return 0, false
	}
	r.sleepy.wait = min(max(2*r.sleepy.wait, 2*time.Millisecond), unsettledLimit)
	return min(wait, r.sleepy.wait), false
}

// staysAwake reports that wake-ups cannot be requested: the relay polls, and leads as far as it knows.
func (r *Relay) staysAwake(ctx context.Context, wait time.Duration, err error) time.Duration {
	r.setState(RelayActive)
	if ctx.Err() == nil {
		r.report("relay: requesting notifications failed, polling", err, "interval", r.cfg.PollInterval)
	}
	return wait
}

// lowerFlag gives the lead at rest to other relays.
func (r *Relay) lowerFlag(ctx context.Context) {
	r.sleepy.tested = false
	if flag := r.sleepFlag(); flag != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = flag.Lower(ctx) // otherwise its connection ends, and the flag with it
	}
}
