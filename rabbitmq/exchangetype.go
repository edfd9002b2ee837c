package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// declareExchange declares an exchange. RabbitMQ before 4.0 closes the whole connection if it does not know the type. So a type that is
// not known to exist is declared on a connection of its own: the messages in flight and the subscriptions of the others must not be lost.
func (b *Broker) declareExchange(s *session, e parley.Exchange) error {
	on := s
	if !b.hasType(e.Type) {
		if own, _, err := b.dialAny("declare", s.node); err == nil {
			stop := context.AfterFunc(b.life, func() { _ = own.wire.Close() })
			defer stop()
			defer func() { _ = closeSoon(own.conn) }()
			on = own
		} // otherwise s is used: the broker may limit the number of connections
	}
	err := on.onChannel(func(ch *amqp.Channel) error { return declareExchange(ch, e, parley.TopologyDeclare) })
	if err == nil {
		b.noteType(e.Type, knowledge{})
		return nil
	}
	if reason, refused := typeRefusal(err, e.Type, on != s); refused {
		b.noteType(e.Type, knowledge{refusal: reason, until: time.Now().Add(refusalMemory)})
		return unknownType(e, reason)
	}
	return err
}

// typeRefusal reports whether the broker refused to declare an exchange because it does not know the type, with its reason. RabbitMQ before
// 4.0 ends the connection with 503; there nothing else happens on a connection of its own. Later versions end the channel with 406, the
// code of an exchange that exists with another type.
func typeRefusal(err error, kind parley.ExchangeType, own bool) (reason string, refused bool) {
	quoted := "'" + string(kind) + "'"
	if e, ok := errors.AsType[*amqp.Error](err); ok && e.Server && e.Code == amqp.CommandInvalid {
		return e.Reason, own || strings.Contains(e.Reason, quoted)
	}
	if e, ok := errors.AsType[*parley.TopologyError](err); ok && e.Code == amqp.PreconditionFailed {
		return e.Reason, strings.Contains(e.Reason, "unknown exchange type "+quoted) || strings.Contains(e.Reason, "invalid exchange type "+quoted)
	}
	return "", false
}

// hasType reports whether the broker has exchanges of a type. The types of AMQP always exist, the others are those of plugins.
func (b *Broker) hasType(kind parley.ExchangeType) bool {
	switch kind {
	case "", parley.ExchangeTopic, parley.ExchangeDirect, parley.ExchangeFanout, parley.ExchangeHeaders:
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.types[kind]
	return ok && known.refusal == ""
}

// refusedType returns why the broker has refused to declare e because of its type, or nil. It forgets that after refusalMemory.
func (b *Broker) refusedType(e parley.Exchange) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.types[e.Type]
	if known.refusal == "" || time.Now().After(known.until) {
		return nil
	}
	return unknownType(e, known.refusal)
}

func (b *Broker) noteType(kind parley.ExchangeType, k knowledge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.types == nil {
		b.types = map[parley.ExchangeType]knowledge{}
	}
	b.types[kind] = k
}

func unknownType(e parley.Exchange, reason string) error {
	return &parley.TopologyError{Object: fmt.Sprintf("exchange %q", e.Name), Code: amqp.CommandInvalid, Reason: reason}
}
