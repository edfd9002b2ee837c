package rabbitmq

import (
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// exchanges are what a session knows about exchanges.
type exchanges map[string]knowledge

// knowledge is that an exchange exists, or why messages to it are refused, for a while.
type knowledge struct {
	refusal string
	until   time.Time // of a refusal
}

// refusalMemory is how long a refused exchange is not asked for again: each
// attempt to publish to an exchange without the right to do so ends the channel with
// everything in flight.
const refusalMemory = time.Minute

// know makes sure, once in a session and on a channel of its own, that an exchange
// exists: publishing to a missing one would end the confirm channel with everything in
// flight. It returns a *parley.RefusedError, or why it could not ask.
func (s *session) know(b *Broker, m *parley.Message) error {
	if m.Exchange == "" {
		return nil
	}
	known, ok := s.exchanges[m.Exchange]
	if ok && (known.refusal == "" || time.Now().Before(known.until)) {
		if known.refusal != "" {
			return refuse(m, known.refusal)
		}
		return nil
	}
	s.wire.uncork() // the broker is asked, and must not wait for what we hold back
	err := s.provide(b, m.Exchange)
	if t, refused := errors.AsType[*parley.TopologyError](err); refused {
		return refuse(m, t.Error())
	}
	if err != nil {
		return fmt.Errorf("look for exchange %q: %w", m.Exchange, err)
	}
	s.exchanges[m.Exchange] = knowledge{}
	return nil
}

// provide checks an exchange passively, which needs no permission, and declares it only
// where it is missing: another service may have declared it with another type.
func (s *session) provide(b *Broker, name string) error {
	err := s.onChannel(func(ch *amqp.Channel) error {
		return declareExchange(ch, parley.Exchange{Name: name}, parley.TopologyVerify)
	})
	t, ok := errors.AsType[*parley.TopologyError](err)
	if !ok || t.Code != amqp.NotFound || b.cfg.Topology != parley.TopologyDeclare {
		return err
	}
	e := parley.Exchange{Name: name, Type: b.cfg.ExchangeTypes[name]}
	return s.onChannel(func(ch *amqp.Channel) error { return declareExchange(ch, e, parley.TopologyDeclare) })
}
