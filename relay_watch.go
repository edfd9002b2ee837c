package parley

import (
	"context"
	"time"
)

// watch lets the source wake the relay. It retries indefinitely; without wake-ups the relay still polls.
func (r *Relay) watch(ctx context.Context, wake chan<- struct{}) {
	waker, ok := r.source.(RelayWaker)
	if !ok {
		return
	}
	retry := backoff{first: time.Second, limit: 10 * time.Second}
	lost := false
	for ctx.Err() == nil {
		err := r.watchOnce(ctx, waker, func() {
			r.watching.Store(true)
			if lost {
				lost = false
				retry.reset()
				r.cfg.Logger.Info("relay: notifications available again")
			}
			select {
			case wake <- struct{}{}:
			default: // one pending wake-up is enough
			}
		})
		r.watching.Store(false)
		r.flag.Store(nil)
		if ctx.Err() == nil {
			if err != nil {
				lost = true
				r.report("relay: notifications unavailable, polling", err, "interval", r.cfg.PollInterval)
			}
			retry.wait(ctx)
		}
	}
}

func (r *Relay) watchOnce(ctx context.Context, waker RelayWaker, wake func()) error {
	if sleeper, ok := waker.(RelaySleeper); ok {
		return sleeper.WatchAsleep(ctx, wake, r.readyToSleep)
	}
	return waker.Watch(ctx, wake)
}
