package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// A request is one call of Publish.
type request struct {
	ctx      context.Context
	messages []parley.Message
	outcomes []error // nil while all are well
	done     chan struct{}
}

func (r *request) fail(i int, err error) {
	if r.outcomes == nil {
		r.outcomes = make([]error, len(r.messages))
	}
	r.outcomes[i] = err
}

// Publish implements parley.Publisher. Calls of many goroutines are pipelined together
// on one channel: one of them, the leader, publishes what has come together.
func (b *Broker) Publish(ctx context.Context, messages []parley.Message) []error {
	if len(messages) == 0 {
		return nil
	}
	r := &request{ctx: ctx, messages: messages, done: make(chan struct{})}
	if err := b.enqueue(r); err != nil {
		return unknown(len(messages), err)
	}
	select {
	case <-r.done:
		return r.outcomes
	case <-ctx.Done():
		return unknown(len(messages), ctx.Err())
	}
}

func (b *Broker) enqueue(r *request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return parley.ErrClosed
	}
	b.queue = append(b.queue, r)
	if !b.leading {
		b.leading = true
		b.wg.Go(b.lead)
	}
	return nil
}

func unknown(n int, cause error) []error {
	outcomes := make([]error, n)
	for i := range outcomes {
		outcomes[i] = fmt.Errorf("%w: %w", parley.ErrUnknown, cause)
	}
	return outcomes
}

// lead publishes until no request is left.
func (b *Broker) lead() {
	for {
		b.mu.Lock()
		requests := b.queue
		b.queue = nil
		if len(requests) == 0 {
			b.leading = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		b.serve(requests)
	}
}

// serve publishes requests in their order and answers them.
func (b *Broker) serve(requests []*request) {
	ch, err := b.openChannel(requests)
	batch := &batch{b: b, ch: ch, lastProgress: time.Now()}
	for _, r := range requests {
		for i := range r.messages {
			switch {
			case r.ctx.Err() != nil: // the caller has gone
			case err != nil:
				r.fail(i, fmt.Errorf("%w: %w", parley.ErrUnknown, err))
			default:
				batch.send(slot{r, i})
			}
		}
	}
	if err == nil {
		batch.finish()
	}
	for _, r := range requests {
		close(r.done)
	}
}

// openChannel returns the confirm channel; it waits for the connection as long as
// somebody waits for the outcome.
func (b *Broker) openChannel(requests []*request) (*publishChannel, error) {
	if b.channel != nil && !b.channel.ch.IsClosed() {
		return b.channel, nil
	}
	ctx, cancel := context.WithCancel(b.life)
	defer cancel()
	left := make(chan struct{}, len(requests))
	for _, r := range requests {
		stop := context.AfterFunc(r.ctx, func() { left <- struct{}{} })
		defer stop()
	}
	b.wg.Go(func() { // when the last caller has gone, nobody needs the connection
		for range requests {
			select {
			case <-left:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	})
	s, err := b.publish.session(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := newPublishChannel(s, b.cfg.Window)
	if err != nil {
		return nil, err
	}
	b.channel = ch
	return ch, nil
}

// A publishChannel is a channel in confirm mode. Its notifications have room for all that
// can come, so the library's reader never waits for us and never drops one.
type publishChannel struct {
	s        *session
	ch       *amqp.Channel
	confirms chan amqp.Confirmation
	returns  chan amqp.Return
	closed   chan *amqp.Error
	next     uint64 // the delivery tag of the next publication
}

func newPublishChannel(s *session, window int) (*publishChannel, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	c := &publishChannel{s: s, ch: ch, next: 1}
	c.confirms = ch.NotifyPublish(make(chan amqp.Confirmation, window+1))
	c.returns = ch.NotifyReturn(make(chan amqp.Return, window+1))
	c.closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Confirm(false); err != nil {
		return nil, errors.Join(fmt.Errorf("select confirm mode: %w", err), ch.Close())
	}
	return c, nil
}

// slot is a message of a request.
type slot struct {
	r *request
	i int
}

func (s slot) message() *parley.Message { return &s.r.messages[s.i] }

// A batch is what one leader publishes in one go.
type batch struct {
	b            *Broker
	ch           *publishChannel
	sent         []slot // in the order of their delivery tags
	returned     []bool
	settled      int    // sent[:settled] have their outcome
	first        uint64 // the delivery tag of sent[0]
	search       int    // where the next return is looked for
	err          error  // why the channel is of no more use
	lastProgress time.Time
}

// send publishes one message, after waiting for room in the window.
func (t *batch) send(s slot) {
	m := s.message()
	if err := t.b.check(m); err != nil {
		s.r.fail(s.i, err)
		return
	}
	for t.err == nil && len(t.sent)-t.settled >= t.b.cfg.Window {
		t.await()
	}
	if t.err == nil && t.ch.s.unblocked() != nil {
		t.err = errors.New("the broker blocks publications")
	}
	if t.err != nil {
		s.r.fail(s.i, fmt.Errorf("%w: %w", parley.ErrUnknown, t.err))
		return
	}
	if err := t.b.knowExchange(t.ch.s, m); err != nil {
		s.r.fail(s.i, err)
		return
	}
	if _, err := t.ch.ch.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, true, false, publishing(m)); err != nil {
		t.err = err
		s.r.fail(s.i, fmt.Errorf("%w: %w", parley.ErrUnknown, err))
		return
	}
	if len(t.sent) == 0 {
		t.first = t.ch.next
	}
	t.ch.next++
	t.sent = append(t.sent, s)
	t.returned = append(t.returned, false)
	t.drain()
}

// drain takes the confirms that have arrived.
func (t *batch) drain() {
	for {
		select {
		case c, ok := <-t.ch.confirms:
			if !ok {
				t.lost()
				return
			}
			t.confirm(c)
		default:
			return
		}
	}
}

// await takes the next confirm. It gives the session up when the broker is silent for too long.
func (t *batch) await() {
	timer := time.NewTimer(time.Until(t.lastProgress.Add(t.b.cfg.ConfirmTimeout)))
	defer timer.Stop()
	select {
	case c, ok := <-t.ch.confirms:
		if !ok {
			t.lost()
			return
		}
		t.confirm(c)
		t.drain()
	case <-timer.C:
		t.err = fmt.Errorf("no confirm for %v", t.b.cfg.ConfirmTimeout)
		_ = t.ch.s.conn.CloseDeadline(time.Now().Add(time.Second)) // the error is t.err
	}
}

// finish waits for all outcomes.
func (t *batch) finish() {
	t.lastProgress = time.Now()
	for t.err == nil && t.settled < len(t.sent) {
		t.await()
	}
	if t.err != nil && t.settled < len(t.sent) {
		t.abandon()
	}
}

// confirm gives one message its outcome. The library hands confirms over in the
// order of their tags. The broker sends a return before the confirm of the same
// message, so by now every return that matters is in its channel.
func (t *batch) confirm(c amqp.Confirmation) {
	t.matchReturns()
	if c.DeliveryTag < t.first || len(t.sent) == 0 {
		return // of an earlier batch, whose callers have gone
	}
	i := int(c.DeliveryTag - t.first)
	if i >= len(t.sent) {
		return
	}
	s := t.sent[i]
	switch {
	case t.returned[i]:
		s.r.fail(s.i, &parley.UnroutableError{Exchange: s.message().Exchange, RoutingKey: s.message().RoutingKey})
	case !c.Ack:
		s.r.fail(s.i, parley.ErrRejected)
	}
	t.settled = max(t.settled, i+1)
	t.lastProgress = time.Now()
}

// matchReturns finds the messages that came back. Returns come in the order in which the
// messages were published.
func (t *batch) matchReturns() {
	for {
		select {
		case r, ok := <-t.ch.returns:
			if !ok {
				t.ch.returns = nil
				return
			}
			t.match(&r)
		default:
			return
		}
	}
}

func (t *batch) match(r *amqp.Return) {
	for i := max(t.search, t.settled); i < len(t.sent); i++ {
		m := t.sent[i].message()
		if m.Exchange == r.Exchange && m.RoutingKey == r.RoutingKey && m.ID == r.MessageId && string(m.Body) == string(r.Body) {
			t.returned[i] = true
			t.search = i + 1
			return
		}
	}
}

// lost notes why the channel has ended.
func (t *batch) lost() {
	t.err = errors.New("channel closed")
	select {
	case cause := <-t.ch.closed:
		if cause != nil {
			t.err = cause
		}
	case <-time.After(time.Second): // the cause comes right before or after
	}
}

// abandon gives the rest their outcome: refused if the broker named them, else unknown.
func (t *batch) abandon() {
	var cause *amqp.Error
	errors.As(t.err, &cause)
	for _, s := range t.sent[t.settled:] {
		m := s.message()
		if cause != nil && blames(cause, m) {
			s.r.fail(s.i, &parley.RefusedError{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Reason: cause.Reason})
			continue
		}
		s.r.fail(s.i, fmt.Errorf("%w: %w", parley.ErrUnknown, t.err))
	}
	t.settled = len(t.sent)
}
