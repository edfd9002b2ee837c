package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// A Broker is a connection to RabbitMQ. It implements parley.Broker and is safe for
// concurrent use.
type Broker struct {
	cfg Config
	uri amqp.URI

	life    context.Context // ends with Close
	end     context.CancelFunc
	wg      sync.WaitGroup
	publish *link
	consume *link

	mu      sync.Mutex // guards the fields below
	queue   []*request
	leading bool

	channel *publishChannel // belongs to the leader
}

// New returns a broker connection. It dials nothing until it is used.
func New(cfg *Config) (*Broker, error) {
	b := &Broker{}
	if cfg != nil {
		b.cfg = *cfg
	}
	var err error
	if b.uri, err = b.cfg.complete(); err != nil {
		return nil, err
	}
	b.life, b.end = context.WithCancel(context.Background())
	b.publish = &link{b: b, role: "publish", turn: make(chan struct{}, 1)}
	b.consume = &link{b: b, role: "consume", turn: make(chan struct{}, 1)}
	return b, nil
}

// Close ends all connections and joins all goroutines; open subscriptions are lost.
// Close subscriptions first, so that their settlements arrive.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	b.end() // under the lock: no leader starts after this
	b.mu.Unlock()
	deadline := time.Now().Add(5 * time.Second)
	if d, ok := ctx.Deadline(); ok {
		deadline = d
	}
	err := errors.Join(b.publish.close(deadline), b.consume.close(deadline))
	b.wg.Wait()
	return err
}

// State tells how the connections are, for health checks.
type State struct {
	// Publishing and Consuming tell whether each connection is open.
	Publishing, Consuming bool
	// Blocked is the broker's reason for refusing publications, or "".
	Blocked string
}

// State returns the present state.
func (b *Broker) State() State {
	p, c := b.publish.current(), b.consume.current()
	s := State{Publishing: p != nil, Consuming: c != nil}
	if p != nil {
		s.Blocked = p.blockedReason()
	}
	return s
}

// Ready implements parley.Publisher.
func (b *Broker) Ready(ctx context.Context) error {
	for {
		s, err := b.publish.session(ctx)
		if err != nil {
			return err
		}
		wait := s.unblocked()
		if wait == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.life.Done():
			return parley.ErrClosed
		case <-wait:
		case <-s.done:
		}
	}
}

// A link keeps one connection. It dials when somebody needs it.
type link struct {
	b    *Broker
	role string
	turn chan struct{} // held while dialling

	mu   sync.Mutex // guards the field below
	live *session
}

func (l *link) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil && l.live.conn.IsClosed() {
		return nil
	}
	return l.live
}

// session returns the open connection. It dials, with backoff, until there is one, ctx
// ends or the broker is closed.
func (l *link) session(ctx context.Context) (*session, error) {
	for failures := 0; ; failures++ {
		if s := l.current(); s != nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.b.life.Done():
			return nil, parley.ErrClosed
		case l.turn <- struct{}{}:
		}
		s, err := l.dial()
		<-l.turn
		if err == nil {
			return s, nil
		}
		l.b.cfg.Logger.Warn("rabbitmq: cannot connect", "connection", l.role, "err", err)
		if err := l.pause(ctx, failures); err != nil {
			return nil, err
		}
	}
}

// pause waits with full jitter, 100 ms to 30 s.
func (l *link) pause(ctx context.Context, failures int) error {
	ceiling := min(30*time.Second, 100*time.Millisecond<<min(failures, 20))
	t := time.NewTimer(ceiling/10 + rand.N(ceiling))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.b.life.Done():
		return parley.ErrClosed
	case <-t.C:
		return nil
	}
}

func (l *link) dial() (*session, error) {
	if s := l.current(); s != nil {
		return s, nil
	}
	if l.b.life.Err() != nil {
		return nil, parley.ErrClosed
	}
	conn, err := l.b.dial(l.role)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, done: make(chan struct{}), exchanges: map[string]error{}}
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	blocking := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	l.b.wg.Go(func() { l.watch(s, closed, blocking) })
	l.mu.Lock()
	l.live = s
	l.mu.Unlock()
	if l.b.cfg.Hooks.Connected != nil {
		l.b.cfg.Hooks.Connected(l.role)
	}
	return s, nil
}

// watch follows a connection until it ends.
func (l *link) watch(s *session, closed <-chan *amqp.Error, blocking <-chan amqp.Blocking) {
	hooks := l.b.cfg.Hooks
	for {
		select {
		case bl, ok := <-blocking:
			if !ok {
				blocking = nil
				continue
			}
			s.setBlocked(bl)
			if bl.Active {
				l.b.cfg.Logger.Warn("rabbitmq: the broker blocks publications", "reason", bl.Reason)
			}
			if bl.Active && hooks.Blocked != nil {
				hooks.Blocked(bl.Reason)
			}
			if !bl.Active && hooks.Unblocked != nil {
				hooks.Unblocked()
			}
		case cause := <-closed:
			close(s.done)
			var err error
			if cause != nil {
				err = cause
				l.b.cfg.Logger.Warn("rabbitmq: connection lost", "connection", l.role, "err", err)
			}
			if hooks.Disconnected != nil {
				hooks.Disconnected(l.role, err)
			}
			return
		}
	}
}

func (l *link) close(deadline time.Time) error {
	l.mu.Lock()
	s := l.live
	l.mu.Unlock()
	if s == nil || s.conn.IsClosed() {
		return nil
	}
	err := s.conn.CloseDeadline(deadline)
	if errors.Is(err, amqp.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rabbitmq: close %s connection: %w", l.role, err)
	}
	return nil
}

// A session is one connection, from its opening to its end.
type session struct {
	conn      *amqp.Connection
	done      chan struct{}
	exchanges map[string]error // known to exist, or why not; belongs to the leader

	mu      sync.Mutex // guards the fields below
	reason  string
	blocked chan struct{} // closed when unblocked; nil when not blocked
}

func (s *session) setBlocked(b amqp.Blocking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b.Active && s.blocked == nil:
		s.blocked, s.reason = make(chan struct{}), b.Reason
	case !b.Active && s.blocked != nil:
		close(s.blocked)
		s.blocked, s.reason = nil, ""
	}
}

func (s *session) unblocked() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

func (s *session) blockedReason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}
