package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/parley-go/parley"
)

var _ parley.Broker = (*Broker)(nil)

// A Broker is a message broker within this process, with the semantics of RabbitMQ.
// It acts as one connection. It is safe for concurrent use.
type Broker struct {
	cfg    BrokerConfig
	secret []byte

	mu        sync.Mutex // guards the fields below and everything reachable from them
	exchanges map[string]*exchange
	queues    map[string]*queue
	log       publishLog
	unblocked chan struct{} // closed when Unblock is called; nil when not blocked
	reject    int           // how many messages are still to be rejected
	lose      int           // how many confirms are still to be lost
	closed    bool
}

// BrokerConfig holds the choices for a broker.
type BrokerConfig struct {
	// Topology says what publishing to a missing exchange does: TopologyDeclare
	// declares it as a topic exchange, the other modes refuse the message. A reply to a missing exchange is unroutable in all modes.
	// Default: TopologyDeclare.
	Topology parley.TopologyMode
	// MaxBody is the largest body in bytes; larger ones are refused. Default: parley.MaxBody.
	MaxBody int
	// LogLimit is how many of the last messages [Broker.Published] returns; negative
	// means none. Older ones are discarded earlier if the bodies exceed 64 MiB in total. Default: 10,000.
	LogLimit int
}

// NewBroker returns a broker with the predeclared exchanges of AMQP (amq.topic,
// amq.direct, amq.fanout, amq.headers) and no queue. A nil cfg means the defaults.
func NewBroker(cfg *BrokerConfig) *Broker {
	b := &Broker{secret: newSecret(), exchanges: map[string]*exchange{}, queues: map[string]*queue{}}
	if cfg != nil {
		b.cfg = *cfg
	}
	if b.cfg.MaxBody == 0 {
		b.cfg.MaxBody = parley.MaxBody
	}
	if b.cfg.LogLimit == 0 {
		b.cfg.LogLimit = 10_000
	}
	b.log.limit = max(b.cfg.LogLimit, 0)
	for _, kind := range []parley.ExchangeType{parley.ExchangeTopic, parley.ExchangeDirect, parley.ExchangeFanout, parley.ExchangeHeaders} {
		name := "amq." + string(kind)
		b.exchanges[name] = newExchange(parley.Exchange{Name: name, Type: kind})
	}
	return b
}

// Ready returns at once unless [Broker.Block] is in effect: then it waits for
// [Broker.Unblock]. It returns ctx's error when ctx ends first and
// parley.ErrClosed after Close.
func (b *Broker) Ready(ctx context.Context) error {
	for {
		b.mu.Lock()
		unblocked, closed := b.unblocked, b.closed
		b.mu.Unlock()
		if closed {
			return parley.ErrClosed
		}
		if unblocked == nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-unblocked:
		}
	}
}

// Publish routes the messages in their order. See [parley.Publisher] for the
// outcomes. While the broker is blocked it waits, and reports parley.ErrUnknown
// for all messages if ctx ends first. Bodies and headers are copied.
func (b *Broker) Publish(ctx context.Context, messages []parley.Message) []error {
	if err := b.lockReady(ctx); err != nil {
		return allUnknown(len(messages), err)
	}
	defer b.mu.Unlock()
	var outcomes []error
	for i := range messages {
		err := b.publish(&messages[i])
		if err == nil {
			continue
		}
		if outcomes == nil {
			outcomes = make([]error, len(messages))
		}
		outcomes[i] = err
	}
	return outcomes
}

// lockReady locks b.mu while the broker is neither blocked nor closed.
func (b *Broker) lockReady(ctx context.Context) error {
	for {
		if err := b.Ready(ctx); err != nil {
			return err
		}
		b.mu.Lock()
		if b.unblocked == nil && !b.closed {
			return nil
		}
		b.mu.Unlock() // blocked again in between
	}
}

func allUnknown(n int, cause error) []error {
	err := fmt.Errorf("%w: %w", parley.ErrUnknown, cause)
	outcomes := make([]error, n)
	for i := range outcomes {
		outcomes[i] = err
	}
	return outcomes
}

// publish routes one message; b.mu is held.
func (b *Broker) publish(m *parley.Message) error {
	if err := check(m, b.cfg.MaxBody); err != nil {
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
	kept := clone(m)
	kept.UserID = "" // set on receipt, never published
	b.log.add(kept)
	for _, q := range queues {
		q.push(kept)
	}
	if len(queues) == 0 {
		return &parley.UnroutableError{Exchange: m.Exchange, RoutingKey: m.RoutingKey}
	}
	if b.lose > 0 {
		b.lose--
		return fmt.Errorf("%w: %w", parley.ErrUnknown, errLost)
	}
	return nil
}

var errLost = errors.New("confirm lost (LoseConfirms)")

// route returns the queues that m is routed to, each once. The result must not be changed.
func (b *Broker) route(m *parley.Message) ([]*queue, error) {
	if m.Exchange == "" {
		if q := b.queues[m.RoutingKey]; q != nil {
			return q.alone, nil
		}
		return nil, nil
	}
	ex := b.exchanges[m.Exchange]
	if ex == nil {
		if isReply(m) {
			return nil, nil
		}
		if b.cfg.Topology != parley.TopologyDeclare || reserved(m.Exchange) {
			return nil, refuse(m, "there is no exchange of this name (declare it, or set the topology mode to declare)")
		}
		ex = newExchange(parley.Exchange{Name: m.Exchange, Type: parley.ExchangeTopic})
		b.exchanges[m.Exchange] = ex
	}
	return b.alternate(ex, m), nil
}

// alternate returns the queues that m is routed to by ex or, if there are none, by its alternate exchange. The delivery keeps the
// exchange that m was published to.
func (b *Broker) alternate(ex *exchange, m *parley.Message) []*queue {
	for range alternateLimit {
		if queues := ex.route(m); len(queues) > 0 {
			return queues
		}
		name, _ := ex.Arguments["alternate-exchange"].(string)
		if ex = b.exchanges[name]; ex == nil {
			break
		}
	}
	return nil
}

// alternateLimit ends a circle of alternate exchanges.
const alternateLimit = 16

// Close ends all subscriptions and deletes the exclusive queues. Any further use
// returns parley.ErrClosed. Close never fails; closing twice is harmless.
func (b *Broker) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.unblock()
	b.disconnect(fmt.Errorf("%w: %w", parley.ErrSubscriptionLost, parley.ErrClosed))
	return nil
}
