package rabbitmq

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// A wire is the network connection below the client library. It bounds each write: the
// library has no bound, and a broker that stops reading would hold us for ever. It
// reads in large pieces, and while it is corked it also writes in large pieces: the library
// makes one system call for each message.
type wire struct {
	net.Conn
	timeout time.Duration
	r       *bufio.Reader // for the library's one reader
	limit   atomic.Int64  // the deadline that SetDeadline gave, in Unix nanoseconds, or 0

	mu     sync.Mutex // guards the fields below, and orders the writes: it is held while one lasts
	corked bool
	held   []byte
	err    error // of the first write that failed; the stream is broken from there
}

const (
	writeTimeout = 20 * time.Second
	readBuffer   = 64 << 10
	writeBuffer  = 32 << 10
)

func newWire(conn net.Conn, timeout time.Duration) *wire {
	return &wire{Conn: conn, timeout: timeout, r: bufio.NewReaderSize(conn, readBuffer)}
}

func (w *wire) Read(p []byte) (int, error) { return w.r.Read(p) }

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if !w.corked && len(w.held) == 0 {
		return len(p), w.send(p)
	}
	w.held = append(w.held, p...)
	if w.corked && len(w.held) < writeBuffer {
		return len(p), nil
	}
	return len(p), w.flush()
}

// cork holds writes back until there are many. Whoever corks must uncork before
// waiting for an answer.
func (w *wire) cork() {
	w.mu.Lock()
	w.corked = true
	w.mu.Unlock()
}

// uncork sends what is held back. An error has closed the connection already.
func (w *wire) uncork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = false
	if w.err == nil && len(w.held) > 0 {
		_ = w.flush() // it has closed the connection: the library's reader ends the session
	}
}

func (w *wire) flush() error {
	err := w.send(w.held)
	w.held = w.held[:0]
	if cap(w.held) > 2*writeBuffer {
		w.held = nil // one large message must not keep its memory
	}
	_ = failpoint.Hit("rabbitmq.flushed") // on its way already: no error is possible here
	return err
}

// SetDeadline is how the library bounds its closing handshake. It holds for later writes
// too: without that each would get the whole timeout again.
func (w *wire) SetDeadline(t time.Time) error {
	if t.IsZero() {
		w.limit.Store(0)
	} else {
		w.limit.Store(t.UnixNano())
	}
	return w.Conn.SetDeadline(t)
}

func (w *wire) send(p []byte) error {
	deadline := time.Now().Add(w.timeout)
	if limit := w.limit.Load(); limit != 0 && limit < deadline.UnixNano() {
		deadline = time.Unix(0, limit)
	}
	w.err = w.SetWriteDeadline(deadline)
	if w.err == nil {
		_, w.err = w.Conn.Write(p)
	}
	if w.err != nil {
		_ = w.Close() // nothing more can be sent; the reader must not wait for the heartbeat
	}
	return w.err
}
