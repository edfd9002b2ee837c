package memory

import (
	"time"

	"github.com/parley-go/parley"
)

// schedule sets the timer for the head of the queue: as in RabbitMQ, messages
// expire only there. It is a timer, not a waiting goroutine, so that
// a testing/synctest bubble can be idle.
func (q *queue) schedule() {
	if q.expiry != nil {
		q.expiry.Stop()
		q.expiry = nil
	}
	if q.len() == 0 || q.deleted || q.entries[q.head].expires.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(q.entries[q.head].expires), func() {
		q.broker.mu.Lock()
		defer q.broker.mu.Unlock()
		if q.expiry == timer { // else it was replaced while this call waited for the lock
			q.dispatch()
		}
	})
	q.expiry = timer
}

// expire removes the expired messages at the head of the queue.
func (q *queue) expire() {
	now := time.Now()
	for q.len() > 0 && q.entries[q.head].expired(now) {
		q.deadLetter(q.pop().message, now)
	}
}

func (e *entry) expired(now time.Time) bool { return !e.expires.IsZero() && !e.expires.After(now) }

// deadLetter moves an expired message to the queue's dead-letter queue. As in
// RabbitMQ the message is dropped if there is none, if that queue does not exist, or if the
// message has expired there before: no consumer would ever take it out of such a cycle.
func (q *queue) deadLetter(m *parley.Message, now time.Time) {
	target := q.broker.queues[q.DeadLetterTo]
	if q.DeadLetterTo == "" || target == nil {
		return
	}
	c := clone(m)
	if c.Headers == nil {
		c.Headers = make(map[string]any, 4)
	}
	deaths := q.addDeath(c, now)
	if deathIn(deaths, target.Name) != nil {
		return
	}
	c.Exchange, c.RoutingKey, c.Expiration = "", q.DeadLetterTo, 0 // otherwise it would expire there, too
	target.push(c)
}

// addDeath notes in the x-death header that m expired in this queue, the latest death
// first, and returns all deaths.
func (q *queue) addDeath(m *parley.Message, now time.Time) []any {
	deaths, _ := m.Headers["x-death"].([]any)
	death := deathIn(deaths, q.Name)
	if death == nil {
		death = map[string]any{
			"queue": q.Name, "reason": "expired", "count": int64(0), "time": now.UTC().Truncate(time.Second),
			"exchange": m.Exchange, "routing-keys": []any{m.RoutingKey},
		}
	}
	count, _ := death["count"].(int64)
	death["count"] = count + 1
	latest := []any{death}
	for _, d := range deaths {
		if other, ok := d.(map[string]any); ok && other["queue"] != q.Name {
			latest = append(latest, other)
		}
	}
	m.Headers["x-death"] = latest
	if _, known := m.Headers["x-first-death-queue"]; !known {
		m.Headers["x-first-death-queue"] = q.Name
		m.Headers["x-first-death-reason"] = "expired"
		m.Headers["x-first-death-exchange"] = m.Exchange
	}
	return latest
}

func deathIn(deaths []any, queue string) map[string]any {
	for _, d := range deaths {
		if death, ok := d.(map[string]any); ok && death["queue"] == queue {
			return death
		}
	}
	return nil
}
