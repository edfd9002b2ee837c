package parley

import (
	"hash/maphash"
	"slices"
	"time"
)

// returns keeps the order of ordering keys when a subscription is lost. The broker may notice the loss later than the consumer: it
// then delivers later messages of a key on the new subscription, before it redelivers the earlier ones. So later deliveries of
// the keys that had unsettled ones are held until the earlier ones are back, at most for returnLimit.
//
// The broker returns the deliveries of a subscription in one step, next to each other. So when one of them is back and
// the deliveries have moved on, those that are still missing went elsewhere: to another consumer, or they expired.
//
// It knows nothing about subscriptions and timers. It is not safe for concurrent use: the consumer's loop owns it.
type returns struct {
	keys   map[string]*returningKey
	losses []*loss   // that are not over
	held   int       // jobs
	bytes  int       // of their bodies
	quiet  time.Time // since when the broker could send deliveries and has sent none
}

const (
	// returnLimit is how long deliveries wait for earlier ones, from the next subscription on. A RabbitMQ cluster returns the
	// deliveries of a node that is down after 60 s (x-consumer-disconnected-timeout).
	returnLimit = time.Minute
	// returnGap is how long after the last returned delivery of a lost subscription the others are given up.
	returnGap = time.Second
)

// A loss is the end of one subscription that had unsettled deliveries of ordering keys.
type loss struct {
	deadline time.Time // zero until the next subscription has started; then it does not change
	last     time.Time // when one of its deliveries was returned; zero if none was
	passed   bool      // a first delivery has come after that
	split    bool      // some may have been sent into the next lost connection, so that they do not come together
	over     bool      // nothing more is expected
}

// A returningKey is an ordering key with missing or held deliveries.
type returningKey struct {
	missing []*missing // in the order of the first delivery
	acked   []uint64   // digests of deliveries that come before them, whose acks may have been lost
	again   []*job     // held redeliveries that were never in hand: sent into the lost connection
	fresh   []*job     // held first deliveries
	losses  []*loss
}

// A missing delivery was in hand when its subscription was lost.
type missing struct {
	digest uint64
	loss   *loss
	job    *job // the delivery, once it is back; it may have to wait for those before it
}

// A keyedDelivery is what is remembered of a delivery of an ordering key.
type keyedDelivery struct {
	key    string
	digest uint64
}

var deliverySeed = maphash.MakeSeed()

// digestOf identifies a message within this process.
func digestOf(d *Delivery) uint64 {
	return maphash.Comparable(deliverySeed, [3]string{d.Exchange, d.RoutingKey, d.ID}) ^ maphash.Bytes(deliverySeed, d.Body)
}

// idle reports whether no key waits.
func (r *returns) idle() bool { return len(r.keys) == 0 }

// lost notes the deliveries that were unsettled when a subscription was lost, in the order of each key, and the last ones that
// were acked on it. Deliveries that were held go back to the broker too.
func (r *returns) lost(unsettled, acked []keyedDelivery) {
	for _, earlier := range r.losses {
		earlier.split = earlier.split || !earlier.last.IsZero()
	}
	l := &loss{}
	keys := map[string]*returningKey{}
	of := func(name string) *returningKey {
		k := keys[name]
		if k == nil {
			k = &returningKey{losses: []*loss{l}}
			keys[name] = k
		}
		return k
	}
	for _, d := range unsettled {
		k := of(d.key)
		k.missing = append(k.missing, &missing{digest: d.digest, loss: l})
	}
	for name, before := range r.keys {
		k := of(name)
		k.losses, k.acked = append(k.losses, before.losses...), append(k.acked, before.acked...)
		for _, m := range before.missing {
			if m.job != nil {
				m.job, m.loss = nil, l
			}
			k.missing = append(k.missing, m)
		}
		for _, j := range slices.Concat(before.again, before.fresh) {
			k.missing = append(k.missing, &missing{digest: j.digest, loss: l})
		}
	}
	for _, d := range acked {
		if k := keys[d.key]; k != nil {
			k.acked = append(k.acked, d.digest)
		}
	}
	r.keys, r.held, r.bytes = keys, 0, 0
	r.losses = append(r.losses, l)
	r.tidy()
}

// onlyWaiting returns the deliveries whose keys wait already.
func (r *returns) onlyWaiting(list []keyedDelivery) []keyedDelivery {
	return slices.DeleteFunc(list, func(d keyedDelivery) bool { return r.keys[d.key] == nil })
}

// subscribed notes that the next subscription has started, and returns how many deliveries are missing.
func (r *returns) subscribed(now time.Time) (n int) {
	r.quiet = now
	for _, l := range r.losses {
		if l.deadline.IsZero() {
			l.deadline = now.Add(returnLimit)
		}
	}
	for _, k := range r.keys {
		n += len(k.missing)
	}
	return n
}

// arrive takes a delivery and returns the jobs that may be handled now, in their order.
func (r *returns) arrive(j *job, now time.Time) []*job {
	r.quiet = now
	k := r.keys[j.key]
	var m *missing
	if k != nil {
		m = k.find(j.digest)
	}
	r.observe(m, j, now)
	switch {
	case k == nil:
		return []*job{j}
	case m != nil:
		m.job = j
	case k.takeAcked(j.digest), j.d.Redelivered && len(k.missing) == 0:
		return []*job{j}
	case j.d.Redelivered:
		k.again = append(k.again, j)
	default:
		k.fresh = append(k.fresh, j)
	}
	r.held++
	r.bytes += len(j.d.Body)
	pass, _ := r.advance(j.key, k)
	return pass
}

// observe notes how far the broker has returned the deliveries of the lost subscriptions.
func (r *returns) observe(m *missing, j *job, now time.Time) {
	if m != nil {
		m.loss.last, m.loss.passed = now, false
		return
	}
	for _, l := range r.losses {
		l.passed = l.passed || !j.d.Redelivered && !l.last.IsZero()
	}
}

// skip notes that a delivery is handled although earlier ones may be missing.
func (r *returns) skip(j *job) {
	k := r.keys[j.key]
	if k == nil {
		return
	}
	if m := k.find(j.digest); m != nil {
		k.missing = slices.DeleteFunc(k.missing, func(o *missing) bool { return o == m })
	}
	_, _ = r.advance(j.key, k)
	r.tidy()
}

// due returns the jobs that need not wait any longer, in the order of each key, and how many deliveries before them were given up. free
// says that the broker may send more deliveries. If it sends none for returnGap, it has none.
func (r *returns) due(now time.Time, free bool) (pass []*job, gaveUp int) {
	if !free {
		r.quiet = now // a worker that has just finished makes room for a moment only
	}
	quiet, over := now.Sub(r.quiet) >= returnGap, false
	for _, l := range r.losses {
		l.over = !l.deadline.IsZero() && !now.Before(l.deadline) ||
			!l.split && !l.last.IsZero() && now.Sub(l.last) >= returnGap && (l.passed || quiet)
		over = over || l.over
	}
	if !over {
		return nil, 0
	}
	for name, k := range r.keys {
		jobs, n := r.advance(name, k)
		pass, gaveUp = append(pass, jobs...), gaveUp+n
	}
	r.tidy()
	return pass, gaveUp
}

// advance removes the jobs of a key that need not wait, and how many deliveries before them were given up.
func (r *returns) advance(name string, k *returningKey) (pass []*job, gaveUp int) {
	for len(k.missing) > 0 && (k.missing[0].job != nil || k.missing[0].loss.over) {
		if j := k.missing[0].job; j != nil {
			pass = append(pass, j)
		} else {
			gaveUp++
		}
		k.missing = k.missing[1:]
	}
	if len(k.missing) == 0 {
		pass, k.again = append(pass, k.again...), nil
		// A delivery that was sent into the lost connection may still come, before the first deliveries that are held.
		if !slices.ContainsFunc(k.losses, func(l *loss) bool { return !l.over }) {
			pass, k.fresh = append(pass, k.fresh...), nil
		}
		if len(k.fresh) == 0 {
			delete(r.keys, name)
		}
	}
	for _, j := range pass {
		r.held--
		r.bytes -= len(j.d.Body)
	}
	return pass, gaveUp
}

// tidy forgets losses that are over, or that no key waits for.
func (r *returns) tidy() {
	r.losses = slices.DeleteFunc(r.losses, func(l *loss) bool { return l.over || r.idle() })
}

// find returns the first missing delivery with this digest.
func (k *returningKey) find(digest uint64) *missing {
	for _, m := range k.missing {
		if m.job == nil && m.digest == digest {
			return m
		}
	}
	return nil
}

// takeAcked reports whether the delivery was acked before those that are missing, and removes it.
func (k *returningKey) takeAcked(digest uint64) bool {
	i := slices.Index(k.acked, digest)
	if i >= 0 {
		k.acked = slices.Delete(k.acked, i, i+1)
	}
	return i >= 0
}
