package rabbitmq

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A session is one connection, from its opening to its end.
type session struct {
	conn   *amqp.Connection
	wire   *wire
	opened time.Time
	done   chan struct{} // closed when the connection has ended
	useful atomic.Bool   // a message has been confirmed or delivered

	exchanges exchanges // belongs to the leader

	mu        sync.Mutex // guards the fields below
	reason    string
	unblocked chan struct{} // closed when unblocked; nil when not blocked
}

func newSession(conn *amqp.Connection, w *wire) *session {
	return &session{conn: conn, wire: w, opened: time.Now(), done: make(chan struct{}), exchanges: exchanges{}}
}

func (s *session) setBlocked(b amqp.Blocking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b.Active && s.unblocked == nil:
		s.unblocked, s.reason = make(chan struct{}), b.Reason
	case !b.Active && s.unblocked != nil:
		close(s.unblocked)
		s.unblocked, s.reason = nil, ""
	}
}

// blocking returns nil when the broker takes publications, else what is closed when it
// does again, and its reason.
func (s *session) blocking() (unblocked <-chan struct{}, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unblocked, s.reason
}

// onChannel runs do on a throw-away channel: a refusal closes it and hurts nobody.
func (s *session) onChannel(do func(ch *amqp.Channel) error) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := do(ch); err != nil {
		_ = ch.Close() // the broker has done so already if it refused
		return err
	}
	return ch.Close()
}
