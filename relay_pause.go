package parley

import "context"

// awaitResume blocks while an operator has paused the whole relay.
func (r *Relay) awaitResume(ctx, hard context.Context) {
	for ctx.Err() == nil {
		changed := r.cfg.Control.changed()
		p, paused := r.cfg.Control.relayPause()
		if !paused {
			return
		}
		r.dropAhead(hard)
		r.lowerFlag(ctx)
		r.setState(RelayPaused)
		r.cfg.Control.await(ctx, changed, p.Left)
	}
}

// wakeOnChange wakes the relay when an operator pauses or resumes an exchange.
func (r *Relay) wakeOnChange(ctx context.Context, wake chan<- struct{}) {
	if r.cfg.Control == nil {
		return
	}
	for ctx.Err() == nil {
		changed := r.cfg.Control.changed()
		select {
		case <-ctx.Done():
		case <-changed:
			select {
			case wake <- struct{}{}:
			default: // one pending wake-up is enough
			}
		}
	}
}
