package rabbitmq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// exchanges is what a session knows about exchanges.
type exchanges map[string]knowledge

// knowledge is that an exchange or a type exists, or why messages to it are refused and until when.
type knowledge struct {
	refusal string
	until   time.Time // when a refusal expires
}

// refusalMemory is how long a refused exchange is not checked again: each
// attempt to publish to an exchange without permission closes the channel with
// everything in flight.
const refusalMemory = time.Minute

// ensureExchange checks, once per session and on a channel of its own, that an exchange exists.
// Publishing to a missing one would close the confirm channel with everything in flight. It returns
// a *parley.RefusedError or *parley.UnroutableError, or why the check failed.
func (s *session) ensureExchange(b *Broker, m *parley.Message) error {
	known, ok := s.exchanges[m.Exchange]
	if ok && known.refusal != "" && time.Now().Before(known.until) {
		return refuse(m, known.refusal)
	}
	if ok && known.refusal == "" || m.Exchange == "" {
		return nil
	}
	s.wire.uncork() // the check must not wait behind writes that are held back
	err := s.declareIfMissing(b, m)
	if t, refused := errors.AsType[*parley.TopologyError](err); refused {
		return refuse(m, t.Error())
	}
	if errors.Is(err, parley.ErrUnroutable) {
		return err
	}
	if err != nil {
		return fmt.Errorf("check exchange %q: %w", m.Exchange, err)
	}
	s.exchanges[m.Exchange] = knowledge{}
	return nil
}

// knows reports whether ensureExchange has checked an exchange.
func (s *session) knows(exchange string) bool {
	_, ok := s.exchanges[exchange]
	return ok || exchange == ""
}

// lookUp checks the exchanges of these messages, several at once. It only saves time: ensureExchange checks an exchange again that
// could not be used.
func (s *session) lookUp(b *Broker, messages []parley.Message) {
	if len(messages) < 2 {
		return
	}
	s.wire.uncork()
	errs := concurrently(len(messages), func(i int) error { return s.declareIfMissing(b, &messages[i]) })
	for i, err := range errs {
		if err == nil {
			s.exchanges[messages[i].Exchange] = knowledge{}
		}
	}
}

// declareIfMissing checks the message's exchange passively, which needs no permission, and declares it only
// if it is missing: another service may have declared it with another type. It does not repeat a declaration that was refused
// because of the type within refusalMemory.
func (s *session) declareIfMissing(b *Broker, m *parley.Message) error {
	name := m.Exchange
	err := s.onChannel(func(ch *amqp.Channel) error {
		return declareExchange(ch, parley.Exchange{Name: name}, parley.TopologyVerify)
	})
	t, ok := errors.AsType[*parley.TopologyError](err)
	if !ok || t.Code != amqp.NotFound {
		return err
	}
	kind, configured := b.cfg.ExchangeTypes[name]
	if isReply(m) && !configured {
		return &parley.UnroutableError{Exchange: name, RoutingKey: m.RoutingKey}
	}
	if b.cfg.Topology != parley.TopologyDeclare {
		return err
	}
	e := parley.Exchange{Name: name, Type: kind, Arguments: b.cfg.ExchangeArguments[name]}
	if err := b.refusedType(e); err != nil {
		return err
	}
	return b.declareExchange(s, e)
}

// isReply reports whether m answers a call. The exchange for a reply comes from the call, so from the network. It is
// never declared, or an attacker could have any number of durable exchanges declared. The service that awaits the replies declares
// it. Replies of the Python library have no kind.
func isReply(m *parley.Message) bool {
	return m.Kind == parley.KindReply || m.Kind == "" && strings.HasPrefix(m.RoutingKey, "call-response.")
}
