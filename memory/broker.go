package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/parley-go/parley"
)

// A Broker is an in-process message broker.
type Broker struct {
	cfg BrokerConfig

	mu        sync.Mutex // guards the fields below
	exchanges map[string]*exchange
	queues    map[string]*queue
	published []parley.Message
	blocked   chan struct{} // closed when unblocked; nil when not blocked
	reject    int
	lose      int
	closed    bool
}

// BrokerConfig holds the choices for a broker.
type BrokerConfig struct {
	// Topology says what happens on publishing to an exchange that does not exist:
	// with TopologyDeclare, the default, it is declared as a topic exchange; otherwise
	// the message is refused.
	Topology parley.TopologyMode
	// MaxBody is the largest body in bytes. Default: parley.MaxBody.
	MaxBody int
	// LogLimit is how many published messages [Broker.Published] keeps. Default: 10,000.
	LogLimit int
}

// NewBroker returns a broker without exchanges and queues.
func NewBroker(cfg *BrokerConfig) *Broker {
	b := &Broker{exchanges: map[string]*exchange{}, queues: map[string]*queue{}}
	if cfg != nil {
		b.cfg = *cfg
	}
	if b.cfg.MaxBody == 0 {
		b.cfg.MaxBody = parley.MaxBody
	}
	if b.cfg.LogLimit == 0 {
		b.cfg.LogLimit = 10_000
	}
	return b
}

// Ready implements parley.Publisher: it waits while the broker is blocked.
func (b *Broker) Ready(ctx context.Context) error {
	for {
		b.mu.Lock()
		blocked, closed := b.blocked, b.closed
		b.mu.Unlock()
		if closed {
			return parley.ErrClosed
		}
		if blocked == nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-blocked:
		}
	}
}

// Publish implements parley.Publisher.
func (b *Broker) Publish(ctx context.Context, messages []parley.Message) []error {
	var outcomes []error
	fail := func(i int, err error) {
		if outcomes == nil {
			outcomes = make([]error, len(messages))
		}
		outcomes[i] = err
	}
	if err := b.Ready(ctx); err != nil {
		for i := range messages {
			fail(i, fmt.Errorf("%w: %w", parley.ErrUnknown, err))
		}
		return outcomes
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range messages {
		if err := b.publish(&messages[i]); err != nil {
			fail(i, err)
		}
	}
	return outcomes
}

// publish routes one message; b.mu is held.
func (b *Broker) publish(m *parley.Message) error {
	if err := b.check(m); err != nil {
		return err
	}
	if b.reject > 0 {
		b.reject--
		return parley.ErrRejected
	}
	queues, err := b.route(m)
	if err != nil {
		return err
	}
	if len(b.published) < b.cfg.LogLimit {
		b.published = append(b.published, *m)
	}
	if len(queues) == 0 {
		return &parley.UnroutableError{Exchange: m.Exchange, RoutingKey: m.RoutingKey}
	}
	for _, q := range queues {
		q.push(&entry{message: *m})
	}
	if b.lose > 0 {
		b.lose--
		return parley.ErrUnknown
	}
	return nil
}

func (b *Broker) check(m *parley.Message) error {
	for _, field := range [...]struct{ what, text string }{
		{"exchange", m.Exchange}, {"routing key", m.RoutingKey}, {"message id", m.ID},
		{"correlation id", m.CorrelationID}, {"app id", m.AppID}, {"reply-to", m.ReplyTo},
	} {
		if len(field.text) > 255 {
			return refuse(m, fmt.Sprintf("%s has %d bytes, AMQP allows 255", field.what, len(field.text)))
		}
	}
	if len(m.Body) > b.cfg.MaxBody {
		return refuse(m, fmt.Sprintf("body has %d bytes, the limit is %d", len(m.Body), b.cfg.MaxBody))
	}
	return nil
}

func refuse(m *parley.Message, reason string) error {
	return &parley.RefusedError{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Reason: reason}
}

// route returns the queues that take m.
func (b *Broker) route(m *parley.Message) ([]*queue, error) {
	if m.Exchange == "" {
		if q := b.queues[m.RoutingKey]; q != nil {
			return []*queue{q}, nil
		}
		return nil, nil
	}
	ex := b.exchanges[m.Exchange]
	if ex == nil && b.cfg.Topology != parley.TopologyDeclare {
		return nil, refuse(m, "no exchange of this name (declare it, or set the topology mode to declare)")
	}
	if ex == nil {
		ex = newExchange(parley.Exchange{Name: m.Exchange, Type: parley.Topic})
		b.exchanges[m.Exchange] = ex
	}
	return ex.route(m), nil
}

// Declare implements parley.Declarer.
func (b *Broker) Declare(_ context.Context, t parley.Topology) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return parley.ErrClosed
	}
	if t.Mode == parley.TopologyNone {
		return nil
	}
	return b.declare(t)
}

// Close ends all subscriptions and refuses further use.
func (b *Broker) Close(context.Context) error {
	b.Disconnect()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// Block has Ready and Publish wait until Unblock, as a broker with a memory alarm does.
func (b *Broker) Block() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blocked == nil {
		b.blocked = make(chan struct{})
	}
}

// Unblock ends Block.
func (b *Broker) Unblock() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blocked != nil {
		close(b.blocked)
		b.blocked = nil
	}
}

// Disconnect ends all sessions: subscriptions are lost, unsettled deliveries return
// to their queues, settlements of old deliveries are stale.
func (b *Broker) Disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		for _, s := range slices.Clone(q.consumers) {
			s.end(fmt.Errorf("%w: disconnected", parley.ErrSubscriptionLost))
		}
	}
}

// RejectNext has the next n messages rejected, as a full queue does.
func (b *Broker) RejectNext(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reject = n
}

// LoseConfirms accepts the next n messages but reports their outcome as unknown.
func (b *Broker) LoseConfirms(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = n
}

// Published returns the first messages that were published, in order.
func (b *Broker) Published() []parley.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.published)
}

// Messages returns the messages that wait in a queue, in order.
func (b *Broker) Messages(name string) []parley.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if q == nil {
		return nil
	}
	out := make([]parley.Message, 0, q.len())
	for _, e := range q.waiting() {
		out = append(out, e.message)
	}
	return out
}

// QueueLen returns how many messages wait in a queue and how many subscriptions it has.
func (b *Broker) QueueLen(_ context.Context, name string) (messages, consumers int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if q == nil {
		return 0, 0, &parley.TopologyError{Object: fmt.Sprintf("queue %q", name), Code: 404, Reason: "no queue of this name"}
	}
	return q.len(), len(q.consumers), nil
}

// DeleteQueue deletes a queue with its messages; its subscriptions are lost.
func (b *Broker) DeleteQueue(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if q == nil {
		return nil
	}
	b.deleteQueue(q)
	return nil
}
