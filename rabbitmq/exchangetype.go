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
	cause, ok := errors.AsType[*amqp.Error](err)
	switch {
	case err == nil:
		b.noteType(e.Type, knowledge{})
	case ok && cause.Server && refusesType(cause, e.Type, on != s):
		b.noteType(e.Type, knowledge{refusal: cause.Reason, until: time.Now().Add(refusalMemory)})
		return unknownType(e, cause.Reason)
	}
	return err
}

// refusesType reports whether the broker refused a declaration because it does not know the type. RabbitMQ before 4.0 ends the connection
// with 503, later versions end the channel with 406, the code of an exchange that exists with another type. Nothing else happens on a
// connection of its own.
func refusesType(cause *amqp.Error, kind parley.ExchangeType, own bool) bool {
	switch cause.Code {
	case amqp.CommandInvalid:
		return own || strings.Contains(cause.Reason, "'"+string(kind)+"'")
	case amqp.PreconditionFailed:
		return strings.Contains(cause.Reason, "unknown exchange type '"+string(kind)+"'") ||
			strings.Contains(cause.Reason, "invalid exchange type '"+string(kind)+"'")
	}
	return false
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
