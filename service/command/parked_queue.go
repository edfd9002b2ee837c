package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/sleep"
)

// A parkedQueue is the parked queue of a consumer without a database.
type parkedQueue struct {
	broker   parley.Broker
	queue    string
	consumer string
	secrets  [][]byte // nil means derived from the broker's login
}

func (q parkedQueue) letter() byte { return queueLetter }

// lookTimeout is the longest wait for a broker. If it is unreachable, commands still show the messages in the database.
const lookTimeout = 10 * time.Second

// count returns the number of messages in the parked queue. It returns 0 if the queue does not exist.
func (q parkedQueue) count(ctx context.Context, timeout time.Duration) (int, error) {
	counter, ok := q.broker.(queueLength)
	if !ok {
		return 0, nil
	}
	look, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, _, err := counter.QueueLen(look, parley.ParkedQueue(q.queue))
	if refused, ok := errors.AsType[*parley.TopologyError](err); ok && refused.Code == 404 {
		return 0, nil
	}
	if err != nil {
		if look.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("broker unreachable for %v", timeout)
		}
		return 0, fmt.Errorf("count messages of queue %q: %w", parley.ParkedQueue(q.queue), err)
	}
	return n, nil
}

func (q parkedQueue) visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (parkedCount, error) {
	var count parkedCount
	n, err := q.count(ctx, lookTimeout)
	if err != nil || n == 0 || f.waiting && len(f.ids) == 0 {
		return count, err
	}
	after, seen := f.afterIn(queueLetter), 0
	err = parley.VisitParked(ctx, q.broker, q.queue, q.secrets, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		seen++
		p := &parkedItem{
			id: queueID(m), at: m.History.LastFailure, state: "parked", consumer: q.consumer, reason: m.History.Reason,
			history: &m.History, verified: m.Signed, size: len(m.Body), Message: &m.Message,
		}
		if after != "" {
			if p.id[1:] == after {
				after, f.after = "", "" // the list goes on with all messages of the next queue
			}
			return parley.ParkedKeep, nil
		}
		if !f.takes(p) {
			return parley.ParkedKeep, nil
		}
		action, err := do(p)
		if action == parley.ParkedKeep || err != nil {
			return parley.ParkedKeep, err
		}
		if action == parley.ParkedReplay {
			err = pace(ctx, f, count.done)
		}
		count.done++
		return action, err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil {
		q.awaitReturned(ctx, seen-count.done)
	}
	return count, err
}

// awaitReturned waits until the broker counts the kept messages as ready again, so that the next command sees them. It waits two
// seconds at most.
func (q parkedQueue) awaitReturned(ctx context.Context, kept int) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		if n, err := q.count(ctx, lookTimeout); err != nil || n >= kept || !sleep.For(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// edit replaces the body and replays the message, because a message in a queue cannot be changed.
func (q parkedQueue) edit(ctx context.Context, f *parkedFilter, id string, body []byte) error {
	count, err := q.visit(ctx, &parkedFilter{ids: []string{id}}, func(p *parkedItem) (parley.ParkedAction, error) {
		if !p.verified && !f.unverified {
			return parley.ParkedKeep, errNotVerified(id)
		}
		p.Body = body
		return parley.ParkedReplay, nil
	})
	if err == nil && count.done == 0 {
		err = fmt.Errorf("no parked message has the id %s", id)
	}
	return err
}

func errNotVerified(id string) error {
	return fmt.Errorf("retry history of %s not verified: another program wrote it, or the secret has changed (add the old secret to consumer.secrets, or use --unverified)", id)
}

// queueID returns the id of the message. For messages without one, such as those of the Python library, it derives one from their
// content.

func queueID(m *parley.ParkedMessage) string {
	if m.ID != "" {
		return string(queueLetter) + m.ID
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", m.Exchange, m.RoutingKey, m.Body))
	return string(queueLetter) + "body-" + hex.EncodeToString(sum[:6])
}
