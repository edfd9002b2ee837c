package rabbitmq

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// A wire is the network connection below the client library. It limits the time of each write: the
// library has no limit, and a broker that stops reading would block writes indefinitely. It
// reads in large pieces, and while it is corked it also writes in large pieces: the library
// makes one system call for each message.
type wire struct {
	net.Conn
	timeout time.Duration
	r       *bufio.Reader // for the library's one reader
	limit   atomic.Int64  // the deadline that SetDeadline gave, in Unix nanoseconds, or 0
	reading sync.Mutex    // held while the deadline for reading is set

	mu     sync.Mutex // guards the fields below; held during each write, to order them
	corked bool
	held   []byte
	err    error // of the first failed write; the stream is broken after it
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

// cork holds writes back until there are many. The caller must uncork before
// it waits for an answer.
func (w *wire) cork() {
	w.mu.Lock()
	w.corked = true
	w.mu.Unlock()
}

// uncork sends the writes that are held back. On an error, flush has closed the connection.
func (w *wire) uncork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = false
	if w.err == nil && len(w.held) > 0 {
		_ = w.flush() // on an error it has closed the connection, and the library's reader ends the session
	}
}

func (w *wire) flush() error {
	err := w.send(w.held)
	w.held = w.held[:0]
	if cap(w.held) > 2*writeBuffer {
		w.held = nil // one large message must not keep its memory
	}
	_ = failpoint.Hit("rabbitmq.flushed") // already sent: no error is possible here
	return err
}

// SetDeadline is how the library limits its closing handshake. The deadline applies to later writes and reads
// too: without that each would get the whole timeout again.
func (w *wire) SetDeadline(t time.Time) error {
	w.reading.Lock()
	defer w.reading.Unlock()
	if t.IsZero() {
		w.limit.Store(0)
	} else {
		w.limit.Store(t.UnixNano())
	}
	return w.Conn.SetDeadline(t)
}

// SetReadDeadline is what the library calls after each frame, also during its closing handshake. A broker with a memory alarm
// sends heartbeats, but does not answer the handshake: without the limit, closing would wait for the end of the alarm.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.reading.Lock()
	defer w.reading.Unlock()
	if limit := w.limit.Load(); limit != 0 && (t.IsZero() || limit < t.UnixNano()) {
		t = time.Unix(0, limit)
	}
	return w.Conn.SetReadDeadline(t)
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
		_ = w.Close() // nothing more can be sent: end the reader before the heartbeat timeout
	}
	return w.err
}
