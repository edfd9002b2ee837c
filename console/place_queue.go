package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// parkedQueue is the parked queue of a consumer without a database. Each look at it moves all of its messages once around, so a page
// looks only when a user asks for it.
type parkedQueue struct {
	broker parley.Broker
	queue  ParkedQueue
}

// lookLimit is the most messages that a look shows.
const lookLimit = 200

var errEnough = errors.New("enough")

func (p parkedQueue) item(m *parley.ParkedMessage) *item {
	h := m.History
	return &item{
		ID: p.id(m), At: h.LastFailure, State: "parked", Consumer: p.queue.Consumer, Reason: h.Reason, Verified: m.Signed,
		Size: len(m.Body), History: &h, Message: m.Message,
	}
}

// id is that of the commands: the message id, or for messages without one a hash of their content.
func (p parkedQueue) id(m *parley.ParkedMessage) string {
	if m.ID != "" {
		return "q" + m.ID
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", m.Exchange, m.RoutingKey, m.Body))
	return "qbody-" + hex.EncodeToString(sum[:6])
}

// visit calls do for each message, and treats a queue that does not exist as empty.
func (p parkedQueue) visit(ctx context.Context, do func(m *parley.ParkedMessage) (parley.ParkedAction, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := parley.VisitParked(ctx, p.broker, p.queue.Queue, p.queue.Secrets, do)
	if refused, ok := errors.AsType[*parley.TopologyError](err); ok && refused.Code == 404 || errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (p parkedQueue) list(ctx context.Context, f *filter, limit int) (items []*item, next string, err error) {
	err = p.visit(ctx, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		it := p.item(m)
		if !f.takes(it) {
			return parley.ParkedKeep, nil
		}
		if len(items) == limit {
			next = it.ID
			return parley.ParkedKeep, errEnough
		}
		items = append(items, it)
		return parley.ParkedKeep, nil
	})
	return items, next, err
}

func (p parkedQueue) load(ctx context.Context, ids []string) (items []*item, err error) {
	err = p.visit(ctx, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		if it := p.item(m); slices.Contains(ids, it.ID) {
			items = append(items, it)
		}
		return parley.ParkedKeep, nil
	})
	return items, err
}

func (p parkedQueue) fill(context.Context, *item) error { return nil }

func (p parkedQueue) change(ctx context.Context, action parley.ParkedAction, ids []string, _ time.Duration) (n int, err error) {
	err = p.visit(ctx, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		if !slices.Contains(ids, p.id(m)) || action == parley.ParkedReplay && !m.Signed {
			return parley.ParkedKeep, nil
		}
		n++
		return action, nil
	})
	return n, err
}

func (p parkedQueue) edit(context.Context, string, []byte) error {
	return &problem{400, "A message in a queue cannot be edited here.", "use the command: parked edit"}
}
