package rabbitmq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// fail ends the channel's messages with what the broker or the library says about its end.
func (p *pipeline) fail() {
	cause := errors.New("connection closed")
	select {
	case e := <-p.closed:
		if e != nil {
			cause = plain(e)
		}
	case <-time.After(time.Second): // the library tells before it answers the confirms
	}
	p.abandon(cause)
}

// abandon settles all messages in flight after their channel has ended: confirmed ones
// are safe, those that the broker blames are refused, and the outcome of the others is unknown.
func (p *pipeline) abandon(cause error) {
	p.matchReturns()
	blamed := p.blame(cause)
	for ; !p.empty(); p.head++ {
		s := p.at(p.head)
		err := unknown(cause)
		refusal, isBlamed := blamed[p.head]
		switch {
		case s.confirm.Acked() && s.returned:
			err = &parley.UnroutableError{Exchange: s.exchange, RoutingKey: s.key}
		case s.confirm.Acked():
			err = nil
		case isBlamed:
			err = refusal
		}
		if errors.Is(err, parley.ErrUnknown) && s.r.lost == nil {
			s.r.lost = cause
		}
		s.r.settle(s.i, err, true)
		*s = slot{}
	}
	p.s.wire.uncork() // its connection may live on
	p.ch, p.s = nil, nil
}

// blame finds the messages that ended the channel. Where the broker's text does not
// tell, the same number of messages is sent one at a time: the guilty one is then alone, and
// one poisonous message cannot hold up the others for ever.
func (p *pipeline) blame(err error) map[uint64]error {
	cause, ok := errors.AsType[*amqp.Error](err)
	if !ok || !cause.Server || p.empty() {
		return nil
	}
	blamed := map[uint64]error{}
	suspects, last := 0, p.head
	for n := p.head; n < p.next; n++ {
		s := p.at(n)
		if s.confirm.Acked() {
			continue
		}
		suspects, last = suspects+1, n
		if s.guilty(cause) {
			blamed[n] = s.refusal(cause.Reason)
			p.remember(s, cause)
		}
	}
	switch {
	case len(blamed) > 0:
	case cause.Code == amqp.NotFound:
		// An exchange was deleted. Earlier messages to it may have arrived, so none is refused: when
		// they are sent again, the exchange is looked for first.
		clear(p.s.exchanges)
	case !protocolFault(cause.Code):
	case suspects == 1:
		blamed[last] = p.at(last).refusal(cause.Reason)
	default:
		p.careful = suspects
	}
	return blamed
}

// protocolFault tells whether a reply code means that the broker disliked what it was
// sent, and not an outage or an operator.
func protocolFault(code int) bool {
	switch code {
	case amqp.ContentTooLarge, amqp.AccessRefused, amqp.PreconditionFailed, amqp.FrameError, amqp.SyntaxError,
		amqp.NotImplemented:
		return true
	}
	return false
}

// guilty tells whether the broker's words mean this message: they name its exchange or
// its topic, or a size that it exceeds.
func (s *slot) guilty(cause *amqp.Error) bool {
	switch cause.Code {
	case amqp.AccessRefused:
		if strings.Contains(cause.Reason, "access to topic '") && !strings.Contains(cause.Reason, "topic '"+s.key+"'") {
			return false
		}
		return strings.Contains(cause.Reason, "exchange '"+s.exchange+"'")
	case amqp.PreconditionFailed:
		limit, err := sizeLimit(cause.Reason)
		return err == nil && s.size > limit
	}
	return false
}

// remember spares the next messages to an exchange without permission the same end.
func (p *pipeline) remember(s *slot, cause *amqp.Error) {
	if cause.Code == amqp.AccessRefused && !strings.Contains(cause.Reason, "access to topic '") {
		p.s.exchanges[s.exchange] = knowledge{refusal: cause.Reason, until: time.Now().Add(refusalMemory)}
	}
}

func (s *slot) refusal(reason string) error {
	return &parley.RefusedError{Exchange: s.exchange, RoutingKey: s.key, Reason: fmt.Sprint("the broker says: ", reason)}
}
