package rabbitmq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// fail settles the channel's messages with the reason that the broker or the library gives for the channel's end.
func (p *pipeline) fail() {
	cause := errors.New("connection closed")
	select {
	case e := <-p.closed:
		if e != nil {
			cause = stripReplyCode(e)
		}
	case <-time.After(time.Second): // the library reports the reason before it answers the confirms
	}
	p.abandon(cause)
}

// abandon settles all messages in flight after their channel has ended. Confirmed messages
// are safe, those that closed the channel are refused, and the outcome of the others is unknown.
func (p *pipeline) abandon(cause error) {
	p.matchReturns()
	culprits := p.attributeClose(cause)
	for ; !p.empty(); p.head++ {
		s := p.at(p.head)
		err := unknown(cause)
		refusal, isCulprit := culprits[p.head]
		switch {
		case s.confirm.Acked() && s.returned:
			err = &parley.UnroutableError{Exchange: s.exchange, RoutingKey: s.key}
		case s.confirm.Acked():
			err = nil
		case isCulprit:
			err = refusal
		}
		if errors.Is(err, parley.ErrUnknown) && s.r.lost == nil {
			s.r.lost = cause
		}
		s.r.settle(s.i, err, true)
		*s = slot{}
	}
	p.s.wire.uncork() // its connection may still be open
	p.ch, p.s = nil, nil
}

// attributeClose returns the messages that closed the channel. If the broker's text names no message, the same number
// of messages is sent one at a time: the one that closes the channel is then alone in flight. So a poison message
// cannot block the others indefinitely.
func (p *pipeline) attributeClose(err error) map[uint64]error {
	cause, ok := errors.AsType[*amqp.Error](err)
	if !ok || !cause.Server || p.empty() {
		return nil
	}
	culprits := map[uint64]error{}
	suspects, last := 0, p.head
	for n := p.head; n < p.next; n++ {
		s := p.at(n)
		if s.confirm.Acked() {
			continue
		}
		suspects, last = suspects+1, n
		if s.causedClose(cause) {
			culprits[n] = s.refusal(cause.Reason)
			p.remember(s, cause)
		}
	}
	switch {
	case len(culprits) > 0:
	case cause.Code == amqp.NotFound:
		// An exchange was deleted. Earlier messages to it may have arrived, so none is refused. The exchange is
		// checked before the messages are sent again.
		clear(p.s.exchanges)
	case !protocolFault(cause.Code):
	case suspects == 1:
		culprits[last] = p.at(last).refusal(cause.Reason)
	default:
		p.oneAtATime = suspects
	}
	return culprits
}

// protocolFault reports whether a reply code means that the broker rejected the content it was
// sent. Outages and operators cause other codes.
func protocolFault(code int) bool {
	switch code {
	case amqp.ContentTooLarge, amqp.AccessRefused, amqp.PreconditionFailed, amqp.FrameError, amqp.SyntaxError,
		amqp.NotImplemented:
		return true
	}
	return false
}

// causedClose reports whether the broker's text refers to this message: it names the message's exchange or
// topic, or a size limit that the message exceeds.
func (s *slot) causedClose(cause *amqp.Error) bool {
	switch cause.Code {
	case amqp.AccessRefused:
		if strings.Contains(cause.Reason, "access to topic '") && !strings.Contains(cause.Reason, "topic '"+s.key+"'") {
			return false
		}
		return strings.Contains(cause.Reason, "exchange '"+s.exchangeName()+"'")
	case amqp.PreconditionFailed:
		limit, err := sizeLimit(cause.Reason)
		return err == nil && s.size > limit
	}
	return false
}

// exchangeName returns the exchange as the broker's texts name it.
func (s *slot) exchangeName() string {
	if s.exchange == "" {
		return "amq.default"
	}
	return s.exchange
}

// remember stores a refusal for lack of permission, so that the next messages to the exchange do not close the channel too.
func (p *pipeline) remember(s *slot, cause *amqp.Error) {
	if cause.Code == amqp.AccessRefused && !strings.Contains(cause.Reason, "access to topic '") {
		p.s.exchanges[s.exchange] = knowledge{refusal: cause.Reason, until: time.Now().Add(refusalMemory)}
	}
}

func (s *slot) refusal(reason string) error {
	return &parley.RefusedError{Exchange: s.exchange, RoutingKey: s.key, Reason: fmt.Sprint("broker: ", reason)}
}
