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
	conn    *amqp.Connection
	wire    *wire
	node    int // number of the address
	version version
	opened  time.Time
	done    chan struct{} // closed when the connection has ended
	useful  atomic.Bool   // a message has been confirmed or delivered

	exchanges exchanges // belongs to the leader

	mu        sync.Mutex // guards the fields below
	reason    string
	unblocked chan struct{} // closed when unblocked; nil when not blocked
}

func newSession(conn *amqp.Connection, w *wire) *session {
	return &session{conn: conn, wire: w, version: versionOf(conn.Properties), opened: time.Now(), done: make(chan struct{}), exchanges: exchanges{}}
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

// blocking returns nil while the broker accepts publications. Otherwise it returns a channel that is closed when
// it accepts them again, and the reason.
func (s *session) blocking() (unblocked <-chan struct{}, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unblocked, s.reason
}

// onChannel runs do on a channel of its own: an error closes only that channel.
func (s *session) onChannel(do func(ch *amqp.Channel) error) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := do(ch); err != nil {
		_ = ch.Close() // after a refusal the broker has closed it already
		return err
	}
	return ch.Close()
}

// declareLimit is how many declarations wait for the broker at once. Each one is a few round trips.
const declareLimit = 16

// concurrently calls do with 0 to n-1, up to declareLimit of them at once. The errors are in the order of these numbers.
func concurrently(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, declareLimit) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = do(i)
			}
		})
	}
	wg.Wait()
	return errs
}
