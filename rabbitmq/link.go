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

const (
	// firstPause is nearly the longest pause after the first failure: a cut connection is usually available again at once.
	firstPause = 100 * time.Millisecond
	// secondPause caps the second pause: the broker is down or starting,
	// and all its clients reconnect at once.
	secondPause  = 2 * time.Second
	longestPause = 10 * time.Second
	// refusedPause is the shortest pause after a refusal: only an operator can change the cause.
	refusedPause = 5 * time.Second
	// healthy is how long a session must last to end a series of failures.
	healthy = 5 * time.Second
)

// A link keeps one connection. It dials when a caller needs the connection. Callers with short deadlines share
// one attempt, which runs until it has succeeded or failed.
type link struct {
	b    *Broker
	role string

	mu       sync.Mutex // guards the fields below
	live     *session
	attempt  chan struct{} // closed when the running attempt has ended; nil if none runs
	failure  error         // of the last attempt
	failures int           // in a row
	since    time.Time     // when the attempts began to fail; zero after a successful one
	next     int           // the host that is tried first
}

// current returns the open connection, or nil.
func (l *link) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open()
}

func (l *link) open() *session {
	if l.live != nil && !l.live.conn.IsClosed() {
		return l.live
	}
	return nil
}

// drop makes the next caller dial, before the connection is closed.
func (l *link) drop(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == s {
		l.live = nil
	}
}

// session returns the open connection. It waits until there is one, ctx ends or the broker is closed.
func (l *link) session(ctx context.Context) (*session, error) {
	for {
		s, attempt, err := l.get()
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, l.gaveUp(ctx.Err())
		case <-l.b.life.Done():
			return nil, parley.ErrClosed
		case <-attempt:
		}
	}
}

// gaveUp adds the reason why there is no connection to the context's error.
func (l *link) gaveUp(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return fmt.Errorf("%w: %w", err, l.failure)
	}
	return err
}

// failing returns when the attempts began to fail, and the failure of the last one, or nil.
func (l *link) failing() (since time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open() != nil {
		return time.Time{}, nil
	}
	return l.since, l.failure
}

// get returns the open connection or the running attempt to open one.
func (l *link) get() (*session, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.open(); s != nil {
		return s, nil, nil
	}
	if l.attempt == nil {
		attempt, first, pause := make(chan struct{}), l.next, l.pause()
		if !l.b.spawn(func() { l.connect(first, pause, attempt) }) {
			return nil, nil, parley.ErrClosed
		}
		l.attempt = attempt
	}
	return nil, l.attempt, nil
}

// pause returns the delay before the next attempt: full jitter over 100 ms, then over 2, 4, 8 and 10 s.
func (l *link) pause() time.Duration {
	if l.failures == 0 {
		return 0
	}
	ceiling := firstPause
	if l.failures > 1 {
		ceiling = min(longestPause, secondPause<<min(l.failures-2, 20))
	}
	pause := ceiling/10 + rand.N(ceiling)
	if _, refused := refusals(l.failure); refused {
		pause = max(pause, refusedPause)
	}
	return pause
}

// connect makes one attempt.
func (l *link) connect(first int, pause time.Duration, attempt chan<- struct{}) {
	defer close(attempt)
	s, n, err := l.dial(first, pause)
	l.dialled(s, n, err)
}

// dialled stores and reports the outcome of an attempt.
func (l *link) dialled(s *session, n int, err error) {
	before := l.note(s, n, err)
	if err != nil {
		if l.b.life.Err() == nil {
			l.logFailure(err, before)
		}
		return
	}
	if l.b.life.Err() != nil { // Broker.Close may have looked for the connection before it was stored
		_ = closeSoon(s.conn)
	}
	if l.b.cfg.Hooks.Connected != nil {
		l.b.cfg.Hooks.Connected(l.role)
	}
}

// note stores the outcome of an attempt, and returns the failure of the attempt before.
func (l *link) note(s *session, n int, err error) (before error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before = l.failure
	l.attempt, l.failure = nil, err
	if err == nil {
		l.live, l.next, l.since = s, n, time.Time{}
		return before
	}
	l.failures++
	if l.since.IsZero() {
		l.since = time.Now()
	}
	return before
}

// logFailure logs a repeated refusal once, as an error: an operator must resolve it.
func (l *link) logFailure(err, before error) {
	kinds, refused := refusals(err)
	if !refused {
		l.b.cfg.Logger.Warn("rabbitmq: connecting failed, retrying", "connection", l.role, "err", err)
		return
	}
	if earlier, _ := refusals(before); earlier != kinds {
		l.b.cfg.Logger.Error("rabbitmq: login rejected by broker (credentials, virtual host or TLS), retrying every 5–10 s", "connection", l.role, "err", err)
	}
}

func (l *link) dial(first int, pause time.Duration) (*session, int, error) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-l.b.life.Done():
		return nil, first, parley.ErrClosed
	case <-t.C:
	}
	s, n, err := l.b.dialAny(l.role, first)
	if err != nil {
		return nil, first, err
	}
	closed := s.conn.NotifyClose(make(chan *amqp.Error, 1))
	blocking := s.conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	if !l.b.spawn(func() { l.watch(s, closed, blocking) }) {
		return nil, n, errors.Join(parley.ErrClosed, closeSoon(s.conn))
	}
	return s, n, nil
}

// watch follows a connection until it ends.
func (l *link) watch(s *session, closed <-chan *amqp.Error, blocking <-chan amqp.Blocking) {
	for {
		select {
		case bl, ok := <-blocking:
			if ok {
				l.block(s, bl)
			} else {
				blocking = nil
			}
		case cause := <-closed:
			var err error
			if cause != nil {
				err = stripReplyCode(cause)
				l.b.cfg.Logger.Warn("rabbitmq: connection lost", "connection", l.role, "err", err)
			}
			l.ended(s)
			close(s.done)
			if l.b.cfg.Hooks.Disconnected != nil {
				l.b.cfg.Hooks.Disconnected(l.role, err)
			}
			return
		}
	}
}

// ended decides when and where to reconnect. A broker that accepts a login and then
// closes the connection must not be dialled in a hot loop.
func (l *link) ended(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.useful.Load() || time.Since(s.opened) > healthy {
		l.failures = 0
	}
	l.failures++
	l.next = (l.next + 1) % len(l.b.addresses)
}

func (l *link) block(s *session, bl amqp.Blocking) {
	hooks := l.b.cfg.Hooks
	s.setBlocked(bl)
	if bl.Active {
		l.b.cfg.Logger.Warn("rabbitmq: publications blocked by the broker", "reason", bl.Reason)
	}
	if bl.Active && hooks.Blocked != nil {
		hooks.Blocked(bl.Reason)
	}
	if !bl.Active && hooks.Unblocked != nil {
		hooks.Unblocked()
	}
}

func (l *link) close(deadline time.Time) error {
	s := l.current()
	if s == nil {
		return nil
	}
	if err := ignoreClosed(s.conn.CloseDeadline(deadline)); err != nil {
		return fmt.Errorf("rabbitmq: close %s connection: %w", l.role, err)
	}
	return nil
}

// closeSoon closes a connection without which the caller goes on. During a memory alarm the broker reads nothing from a connection
// that has published, so it does not answer.
func closeSoon(conn *amqp.Connection) error {
	return ignoreClosed(conn.CloseDeadline(time.Now().Add(answerTimeout)))
}

// ignoreClosed returns nil for the error of closing a closed connection.
func ignoreClosed(err error) error {
	if errors.Is(err, amqp.ErrClosed) {
		return nil
	}
	return err
}

// stripReplyCode removes the reply code that the library invents for failures that it noticed itself.
func stripReplyCode(e *amqp.Error) error {
	if e.Server {
		return e
	}
	return errors.New(e.Reason)
}
