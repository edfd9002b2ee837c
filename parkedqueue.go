package parley

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
)

// A ParkedMessage is a message in the parked queue of a consumer.
type ParkedMessage struct {
	// Message has its own exchange, routing key and properties, as its consumer received it.
	Message
	// Queue is the queue that the message was consumed from.
	Queue   string
	History History
	// Signed reports whether the history is verified: it was signed with one of the secrets.
	Signed bool
	// ParkedID is constant while the message is parked. It is empty for a message of a former version, or of another
	// writer, until its first visit.
	ParkedID string
}

// ParkedAction is what a visit does with a parked message.
type ParkedAction int

const (
	// ParkedKeep leaves it in the parked queue.
	ParkedKeep ParkedAction = iota
	// ParkedReplay returns it to its queue, with its identity and history, for the whole
	// retry plan again. It is signed anew, with the first secret: a visit that replays a message
	// whose history is not verified vouches for its address and its content.
	ParkedReplay
	// ParkedDrop deletes it.
	ParkedDrop
)

// VisitParked calls visit for the parked messages of a queue, oldest first, and carries out the returned
// action. visit may change the body of a message before it replays it. If the history is
// not verified, it may change the address too.
//
// secrets verify the histories; the first one signs replayed messages. After a change give the new and the old one. Default: the
// broker's own.
//
// A visit never returns a message to the broker, because a quorum queue counts that and finally drops the message. It takes a few
// messages, publishes confirmed copies to the end of the parked queue, and acks the originals. A visit that ends
// early leaves the others in their places, and finishes the round without calling visit again. No message is removed
// before its copy is confirmed. A crash may repeat a replay; the next visit removes copies that it left. (A crash may duplicate a message
// without a ParkedID.) Messages parked during a visit are left to the next one. Visits may run at the
// same time: each sees a part of the messages, and the order may change.
func VisitParked(ctx context.Context, b Broker, queue string, secrets [][]byte, visit func(m *ParkedMessage) (ParkedAction, error)) error {
	secrets, err := secretsOf(b, secrets)
	if err != nil {
		return err
	}
	p, single, err := pull(ctx, b, ParkedQueue(queue))
	if err == nil {
		r := newRotation(b, p, queue, func(d *Delivery) (ParkedAction, Message, error) { return visitOne(queue, secrets, d, visit) })
		if single {
			r.batch = 1
		}
		err = errors.Join(r.run(ctx), p.Close())
	}
	if err != nil {
		return fmt.Errorf("parley: visit parked messages of queue %q: %w", queue, err)
	}
	return nil
}

// visitOne calls visit for one message. With ParkedReplay it returns the copy for the queue.
func visitOne(queue string, secrets [][]byte, d *Delivery, visit func(*ParkedMessage) (ParkedAction, error)) (ParkedAction, Message, error) {
	m := &ParkedMessage{Message: d.Message, Queue: queue, History: readHistory(&d.Message), ParkedID: d.Header(headerParkedID)}
	m.Headers, m.Body = maps.Clone(m.Headers), bytes.Clone(m.Body) // the original must not change
	restoreProperties(&m.Message)
	place := placeParked
	if d.Header(headerUnverified) != "" {
		place = placeQueue
	}
	m.Signed = verified(secrets, &m.Message, queue, place)
	if m.Exchange == "" {
		m.Exchange, m.RoutingKey = d.Header(headerExchange), d.Header(headerRoutingKey)
	}
	action, err := visit(m)
	if err != nil || action != ParkedReplay {
		return action, Message{}, err
	}
	if !bytes.Equal(m.Body, d.Body) {
		if err := CheckBody(m.Kind, m.Body); err != nil {
			return action, Message{}, fmt.Errorf("replay message %q with another body: %w", shorten(m.ID, 80), err)
		}
	}
	h := m.History
	h.Replays++
	h.Retries, h.Reason, h.begun = 0, "", 0
	return action, retryCopy(m.Message, queue, queue, h, secrets[0]), nil
}

// ReplayParked returns all parked messages of a queue to it, and reports how many. Messages
// whose history is not verified stay: use VisitParked for them.
func ReplayParked(ctx context.Context, b Broker, queue string, secrets [][]byte) (int, error) {
	n := 0
	err := VisitParked(ctx, b, queue, secrets, func(m *ParkedMessage) (ParkedAction, error) {
		if !m.Signed {
			return ParkedKeep, nil
		}
		n++
		return ParkedReplay, nil
	})
	return n, err
}
