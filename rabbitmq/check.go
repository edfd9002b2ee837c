package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// check refuses what would close the channel or the whole connection.
func (b *Broker) check(m *parley.Message) error {
	for _, f := range [...]struct{ what, text string }{
		{"exchange", m.Exchange}, {"routing key", m.RoutingKey}, {"message id", m.ID},
		{"correlation id", m.CorrelationID}, {"app id", m.AppID}, {"reply-to", m.ReplyTo}, {"kind", string(m.Kind)},
	} {
		if len(f.text) > 255 {
			return refuse(m, fmt.Sprintf("%s has %d bytes, AMQP allows 255", f.what, len(f.text)))
		}
	}
	if len(m.Body) > b.cfg.MaxBody {
		return refuse(m, fmt.Sprintf("body has %d bytes, the limit is %d", len(m.Body), b.cfg.MaxBody))
	}
	if err := table(m.Headers).Validate(); err != nil {
		return refuse(m, "headers: "+err.Error())
	}
	return nil
}

func refuse(m *parley.Message, reason string) error {
	return &parley.RefusedError{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Reason: reason}
}

// knowExchange makes sure, once in a session and on a channel of its own, that an
// exchange exists: publishing to a missing one would close the confirm channel with everything in flight.
func (b *Broker) knowExchange(s *session, m *parley.Message) error {
	if m.Exchange == "" || strings.HasPrefix(m.Exchange, "amq.") {
		return nil
	}
	err, known := s.exchanges[m.Exchange]
	if !known {
		err = b.provideExchange(s, m.Exchange)
		if _, final := errors.AsType[*parley.TopologyError](err); err == nil || final && b.cfg.Topology == parley.TopologyDeclare {
			s.exchanges[m.Exchange] = err
		}
	}
	if err == nil {
		return nil
	}
	if t, ok := errors.AsType[*parley.TopologyError](err); ok {
		return refuse(m, t.Error())
	}
	return fmt.Errorf("%w: %w", parley.ErrUnknown, err)
}

func (b *Broker) provideExchange(s *session, name string) error {
	mode := parley.TopologyVerify
	err := onChannel(s.conn, func(ch *amqp.Channel) error { return declareExchange(ch, parley.Exchange{Name: name}, mode) })
	t, ok := errors.AsType[*parley.TopologyError](err)
	if !ok || t.Code != amqp.NotFound || b.cfg.Topology != parley.TopologyDeclare {
		return err
	}
	e := parley.Exchange{Name: name, Type: b.cfg.ExchangeTypes[name]}
	return onChannel(s.conn, func(ch *amqp.Channel) error { return declareExchange(ch, e, parley.TopologyDeclare) })
}

// blames tells whether a channel error means m: it names the exchange, or a size that m exceeds.
func blames(cause *amqp.Error, m *parley.Message) bool {
	switch cause.Code {
	case amqp.NotFound, amqp.AccessRefused:
		return strings.Contains(cause.Reason, "exchange '"+m.Exchange+"'")
	case amqp.PreconditionFailed:
		words := strings.Fields(cause.Reason)
		if len(words) == 0 || !strings.Contains(cause.Reason, "size") {
			return false
		}
		limit, err := strconv.Atoi(words[len(words)-1])
		return err == nil && len(m.Body) > limit
	}
	return false
}

// Declare implements parley.Declarer. Each object is declared on a channel of its own where needed,
// so that one conflict does not hide another.
func (b *Broker) Declare(ctx context.Context, t parley.Topology) error {
	if t.Mode == parley.TopologyNone {
		return nil
	}
	s, err := b.consume.session(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range t.Exchanges {
		errs = append(errs, onChannel(s.conn, func(ch *amqp.Channel) error { return declareExchange(ch, e, t.Mode) }))
	}
	for _, q := range t.Queues {
		errs = append(errs, onChannel(s.conn, func(ch *amqp.Channel) error { return declareQueue(ch, q, t.Mode) }))
	}
	if t.Mode == parley.TopologyDeclare {
		for _, bind := range t.Bindings {
			errs = append(errs, onChannel(s.conn, func(ch *amqp.Channel) error { return declareBinding(ch, bind) }))
		}
	}
	return errors.Join(errs...)
}

// onChannel runs do on a throw-away channel.
func onChannel(conn *amqp.Connection, do func(ch *amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := do(ch); err != nil {
		return err // the broker has closed the channel
	}
	return ch.Close()
}

func declareExchange(ch *amqp.Channel, e parley.Exchange, mode parley.TopologyMode) error {
	kind := string(e.Type)
	if kind == "" {
		kind = string(parley.Topic)
	}
	declare := ch.ExchangeDeclare
	if mode == parley.TopologyVerify {
		declare = ch.ExchangeDeclarePassive
	}
	return topologyError("exchange", e.Name, declare(e.Name, kind, true, e.AutoDelete, false, false, nil))
}

func declareQueue(ch *amqp.Channel, q parley.Queue, mode parley.TopologyMode) error {
	args := table(q.Arguments)
	if q.TTL > 0 || q.DeadLetterTo != "" {
		args = amqp.Table{}
		for name, value := range table(q.Arguments) {
			args[name] = value
		}
	}
	if q.TTL > 0 {
		args["x-message-ttl"] = q.TTL.Milliseconds()
	}
	if q.DeadLetterTo != "" {
		args["x-dead-letter-exchange"] = ""
		args["x-dead-letter-routing-key"] = q.DeadLetterTo
	}
	declare := ch.QueueDeclare
	if mode == parley.TopologyVerify {
		declare = ch.QueueDeclarePassive
	}
	_, err := declare(q.Name, !q.Exclusive, false, q.Exclusive, false, args)
	return topologyError("queue", q.Name, err)
}

func declareBinding(ch *amqp.Channel, b parley.Binding) error {
	key := b.RoutingKey
	if key == "" {
		key = "#"
	}
	err := ch.QueueBind(b.Queue, key, b.Exchange, false, table(b.Arguments))
	return topologyError("binding of queue", b.Queue, err)
}

func topologyError(kind, name string, err error) error {
	if cause, ok := errors.AsType[*amqp.Error](err); ok && cause.Code >= 400 && cause.Code < 500 {
		return &parley.TopologyError{Object: fmt.Sprintf("%s %q", kind, name), Code: cause.Code, Reason: cause.Reason}
	}
	if err != nil {
		return fmt.Errorf("declare %s %q: %w", kind, name, err)
	}
	return nil
}

// QueueLen returns how many messages are ready in a queue and how many consumers it has.
func (b *Broker) QueueLen(ctx context.Context, name string) (messages, consumers int, err error) {
	s, err := b.consume.session(ctx)
	if err != nil {
		return 0, 0, err
	}
	err = onChannel(s.conn, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		messages, consumers = q.Messages, q.Consumers
		return topologyError("queue", name, err)
	})
	return messages, consumers, err
}

// DeleteQueue deletes a queue with its messages.
func (b *Broker) DeleteQueue(ctx context.Context, name string) error {
	s, err := b.consume.session(ctx)
	if err != nil {
		return err
	}
	return onChannel(s.conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(name, false, false, false)
		return topologyError("queue", name, err)
	})
}

// DeleteExchange deletes an exchange.
func (b *Broker) DeleteExchange(ctx context.Context, name string) error {
	s, err := b.consume.session(ctx)
	if err != nil {
		return err
	}
	return onChannel(s.conn, func(ch *amqp.Channel) error {
		return topologyError("exchange", name, ch.ExchangeDelete(name, false, false))
	})
}

func publishing(m *parley.Message) amqp.Publishing {
	contentType := m.ContentType
	if contentType == "" {
		contentType = parley.ContentType
	}
	return amqp.Publishing{
		Headers:         table(m.Headers),
		ContentType:     contentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   m.CorrelationID,
		ReplyTo:         m.ReplyTo,
		MessageId:       m.ID,
		Timestamp:       m.Timestamp.Truncate(time.Second),
		Type:            string(m.Kind),
		AppId:           m.AppID,
		Body:            m.Body,
	}
}

// table converts headers to what the client library takes.
func table(headers map[string]any) amqp.Table {
	if len(headers) == 0 {
		return nil
	}
	t := make(amqp.Table, len(headers))
	for name, value := range headers {
		t[name] = toAMQP(value)
	}
	return t
}

func toAMQP(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return table(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = toAMQP(v[i])
		}
		return out
	}
	return value
}

func fromAMQP(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = fromAMQP(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fromAMQP(v[i])
		}
		return out
	}
	return value
}
