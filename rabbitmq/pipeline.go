package rabbitmq

import (
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// A pipeline is the confirm channel and the messages in flight on it. It belongs to the leader.
type pipeline struct {
	b *Broker

	s       *session
	ch      *amqp.Channel // nil when there is none
	returns <-chan amqp.Return
	closed  <-chan *amqp.Error

	slots      []slot // a ring: the message with number n is in slots[n % Window]
	head       uint64 // the oldest in flight
	next       uint64 // the number of the next message
	search     uint64 // where the search for the next returned message begins
	oneAtATime int    // the number of messages to be sent one at a time
	progress   time.Time
	timer      *time.Timer
	body       []byte // scratch
}

// slot is a message in flight.
type slot struct {
	r        *request
	i        int
	confirm  *amqp.DeferredConfirmation
	size     int // of the body
	exchange string
	key      string
	returned bool
}

func (p *pipeline) empty() bool { return p.head == p.next }

func (p *pipeline) at(n uint64) *slot { return &p.slots[n%uint64(len(p.slots))] }

// publish sends the messages of one request, waiting for room in the window.
func (p *pipeline) publish(r *request) {
	for i := range r.messages {
		if r.ctx.Err() != nil {
			return // the caller no longer waits, or is about to stop
		}
		if r.lost == nil {
			p.send(r, i)
			continue
		}
		r.settle(i, unknown(r.lost), false)
	}
}

// send writes one message, or settles it.
func (p *pipeline) send(r *request, i int) {
	err := p.room(r)
	if err == nil {
		err = p.write(r, i)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, parley.ErrRefused) && !errors.Is(err, parley.ErrUnroutable) {
		r.lost = err
		err = unknown(err)
	}
	r.settle(i, err, false)
}

// room waits until one more message may be in flight, on an open channel.
func (p *pipeline) room(r *request) error {
	limit := uint64(p.b.cfg.Window)
	if p.oneAtATime > 0 {
		limit = 1
	}
	for p.next-p.head >= limit {
		p.await(nil)
	}
	if r.lost != nil {
		return r.lost
	}
	if p.ch == nil || p.ch.IsClosed() {
		if !p.empty() {
			p.fail()
		}
		if r.lost != nil {
			return r.lost
		}
		if err := p.open(r); err != nil {
			return err
		}
	}
	if unblocked, reason := p.s.blocking(); unblocked != nil {
		return fmt.Errorf("publications blocked by the broker: %s", reason)
	}
	return nil
}

// open waits for the connection while the caller waits for the outcome.
func (p *pipeline) open(r *request) error {
	s, err := p.b.publish.session(r.ctx)
	if err != nil {
		return err
	}
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	// The channel has room for all possible returns, so that the library's reader never waits for
	// this reader and never drops a return.
	p.returns = ch.NotifyReturn(make(chan amqp.Return, p.b.cfg.Window+1))
	p.closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Confirm(false); err != nil {
		return errors.Join(fmt.Errorf("select confirm mode: %w", err), closeChannel(ch))
	}
	if p.slots == nil {
		p.slots = make([]slot, p.b.cfg.Window)
	}
	p.s, p.ch, p.search = s, ch, p.next
	return nil
}

// write publishes one message. The caller may stop waiting meanwhile and reuse its messages, so
// everything is copied before the first wait.
func (p *pipeline) write(r *request, i int) error {
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return parley.ErrUnknown // the caller has its outcomes already
	}
	m := r.messages[i]
	if m.AppID == "" {
		m.AppID = p.b.cfg.AppID
	}
	header, err := p.b.check(&m)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	p.body = append(p.body[:0], m.Body...)
	out := publishing(&m, p.body)
	r.mu.Unlock()

	if limit := p.s.conn.Config.FrameSize - 8 - reserve(&m); header > limit {
		return refuse(&m, fmt.Sprintf("properties and headers have %d bytes, the connection allows %d", header, limit))
	}
	if err := p.exists(r, &m); err != nil {
		return err
	}
	p.s.wire.cork()
	confirm, err := p.ch.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, true, false, out)
	if err != nil {
		p.s.wire.uncork()
		return err
	}
	if p.empty() {
		p.move()
	}
	*p.at(p.next) = slot{r: r, i: i, confirm: confirm, size: len(p.body), exchange: m.Exchange, key: m.RoutingKey}
	p.next++
	_ = failpoint.Hit("rabbitmq.written") // already sent: no error is possible here
	if p.oneAtATime > 0 {
		p.oneAtATime--
	}
	if cap(p.body) > 1<<20 {
		p.body = nil // one large message must not keep its memory
	}
	p.drain()
	return nil
}

// exists checks the message's exchange. Within one call of Publish a missing exchange is checked
// once: a thousand messages to it must not cost a thousand round trips.
func (p *pipeline) exists(r *request, m *parley.Message) error {
	if reason, ok := r.missing[m.Exchange]; ok {
		if reason == "" && isReply(m) {
			return &parley.UnroutableError{Exchange: m.Exchange, RoutingKey: m.RoutingKey}
		}
		if reason != "" {
			return refuse(m, reason)
		}
	}
	if !r.looked && !p.s.knows(m.Exchange) {
		r.looked = true
		p.s.lookUp(p.b, r.firstOfEach(p.b, p.s.knows))
	}
	err := p.s.ensureExchange(p.b, m)
	if refused, ok := errors.AsType[*parley.RefusedError](err); ok {
		r.note(m.Exchange, refused.Reason)
	}
	if errors.Is(err, parley.ErrUnroutable) {
		r.note(m.Exchange, "")
	}
	return err
}

// rest sends what is held back, so that the connection works while the leader waits or
// has ended: heartbeats pass through the same wire.
func (p *pipeline) rest() {
	if p.s != nil {
		p.s.wire.uncork()
	}
}

// drain settles the confirmed messages without waiting.
func (p *pipeline) drain() {
	for !p.empty() {
		select {
		case <-p.at(p.head).confirm.Done():
			p.confirm()
		default:
			return
		}
	}
}

// await waits for a confirm, or also for more requests unless more is nil. It closes the session
// when the broker is silent for too long: a lost confirm must not block callers indefinitely.
func (p *pipeline) await(more <-chan struct{}) {
	p.s.wire.uncork()
	patience := time.Until(p.progress.Add(p.b.cfg.ConfirmTimeout))
	if p.timer == nil {
		p.timer = time.NewTimer(patience)
	} else {
		p.timer.Reset(patience)
	}
	defer p.timer.Stop()
	select {
	case <-p.at(p.head).confirm.Done():
		p.confirm()
		p.drain()
	case <-more:
	case <-p.timer.C:
		p.b.publish.drop(p.s)
		conn := p.s.conn
		p.b.wg.Go(func() { _ = closeSoon(conn) }) // the session is abandoned anyway
		p.abandon(fmt.Errorf("no confirm for %v", p.b.cfg.ConfirmTimeout))
	}
}

// confirm settles the oldest message in flight. The broker sends a return before the
// confirm of the same message, so by now every return that matters is in its channel.
func (p *pipeline) confirm() {
	s := p.at(p.head)
	acked := s.confirm.Acked()
	if !acked && p.ch.IsClosed() {
		p.fail() // the library rejects them when the channel has ended
		return
	}
	p.matchReturns()
	var err error
	switch {
	case s.returned:
		err = &parley.UnroutableError{Exchange: s.exchange, RoutingKey: s.key}
	case !acked:
		err = parley.ErrRejected
	}
	_ = failpoint.Hit("rabbitmq.confirmed")
	r, i := s.r, s.i
	*s = slot{}
	p.head++
	p.move()
	p.s.useful.Store(true)
	r.settle(i, err, true)
}

// move records that from now on the broker owes no earlier confirm.
func (p *pipeline) move() {
	p.progress = time.Now()
	p.b.progress.Store(int64(p.progress.Sub(p.b.born)))
}

// matchReturns finds the messages that were returned. Returns arrive in the order in which the
// messages were published.
func (p *pipeline) matchReturns() {
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				p.returns = nil
				return
			}
			p.match(&r)
		default:
			return
		}
	}
}

func (p *pipeline) match(r *amqp.Return) {
	for n := max(p.search, p.head); n < p.next; n++ {
		if s := p.at(n); s.size == len(r.Body) && s.key == r.RoutingKey && s.exchange == r.Exchange && s.same(r) {
			s.returned = true
			p.search = n + 1
			return
		}
	}
}

// same reports whether r returns this message. Requests whose caller has returned never match.
func (s *slot) same(r *amqp.Return) bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.gone {
		return false
	}
	m := &s.r.messages[s.i]
	return m.ID == r.MessageId && string(m.Body) == string(r.Body)
}
