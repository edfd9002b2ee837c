package parley

import "time"

// probeLater keeps a record whose address is unroutable, perhaps for a moment. Records of its exchange wait until the next probe.
func (r *Relay) probeLater(rec *Record) {
	h := r.rejection(rec.Exchange)
	h.why = ErrUnroutable
	if now := time.Now(); !now.Before(h.until) {
		h.until = now.Add(doubtInterval)
		r.cfg.Logger.Warn("relay: message unroutable although a queue was bound before, retrying", "exchange", rec.Exchange,
			"routing_key", shorten(rec.RoutingKey, 80), "record", rec.ID, "for", unroutableDoubt)
	}
}

func (r *Relay) unroutablePolicy(rec *Record) UnroutablePolicy {
	policy := r.cfg.Unroutable
	if policy == UnroutableDefault {
		policy = UnroutableDrop
		if rec.Kind != KindEvent && rec.Kind != "" {
			policy = UnroutablePark
		}
	}
	if r.cfg.Hooks.Unroutable != nil {
		r.cfg.Hooks.Unroutable(*rec, policy)
	}
	if r.routes.mayWarn(rec, time.Now()) {
		r.cfg.Logger.Warn("relay: message unroutable, no queue is bound", "exchange", rec.Exchange,
			"routing_key", rec.RoutingKey, "record", rec.ID, "done", policy.String())
	}
	return policy
}

func (p UnroutablePolicy) String() string {
	return [...]string{"default", "dropped", "parked", "kept, retrying"}[p]
}
