package faultproxy

import (
	"bufio"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A link is a client's connection and the matching connection to the server.
type link struct {
	p      *Proxy
	client *net.TCPConn
	over   chan struct{} // closed when the link has ended
	amqp   atomic.Bool   // the client has sent the AMQP protocol header

	mu     sync.Mutex // guards the fields below
	server *net.TCPConn
	ended  bool
	hungUp bool // or the server's side outlives the client's

	writing sync.Mutex // held while a whole frame goes to the client; guards the field below
	speaker *bufio.Writer
}

// attach sets the server's connection, unless the link has ended.
func (l *link) attach(server *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.p.life.Err() != nil {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

// run forwards both directions until one side has ended, then ends the other.
func (l *link) run() {
	var wg sync.WaitGroup
	wg.Go(func() { l.forward(l.client, l.server, toServer); l.farewell(l.client) })
	wg.Go(func() { l.forward(l.server, l.client, toClient); l.farewell(l.server) })
	wg.Wait()
}

type direction bool

const (
	toServer direction = true
	toClient direction = false
)

const piece = 64 << 10

// forward moves frames, or bytes if the client does not speak AMQP. A server of AMQP
// sends nothing before the client does, so the client's first byte identifies the protocol.
func (l *link) forward(from, to *net.TCPConn, d direction) {
	defer l.close()
	r, w := bufio.NewReaderSize(from, piece), bufio.NewWriterSize(&pacedWriter{l, to}, piece)
	var amqp bool
	var err error
	if d == toServer {
		amqp, err = startsAMQP(r)
		l.amqp.Store(amqp)
	} else {
		_, err = r.Peek(1)
		amqp = l.amqp.Load()
	}
	switch {
	case err != nil:
	case amqp:
		l.frames(r, w, d)
	default:
		l.bytes(r, w, d)
	}
}

// bytes forwards data without parsing it.
func (l *link) bytes(r *bufio.Reader, w *bufio.Writer, d direction) {
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		data, _ := r.Peek(r.Buffered())
		if !l.pass(d, true) || !l.write(w, data, d) || w.Flush() != nil {
			return
		}
		if _, err := r.Discard(len(data)); err != nil {
			return
		}
	}
}

// write forwards data up to the limit of CutAfter. It returns false when the link has ended.
func (l *link) write(w *bufio.Writer, data []byte, d direction) bool {
	allowed := len(data)
	if d == toServer {
		allowed = l.p.allow(len(data))
	}
	if _, err := w.Write(data[:allowed]); err != nil {
		return false
	}
	if allowed == len(data) {
		return true
	}
	_ = w.Flush()
	l.cut()
	return false
}

// pass waits while the proxy is a black hole in this direction and, for fresh data, for the latency. It
// returns false when the link has ended.
func (l *link) pass(d direction, fresh bool) bool {
	for held := false; ; held = true {
		l.p.mu.Lock()
		black, latency, changed := l.p.black[d], l.p.latency, l.p.changed
		if black && !held {
			l.p.counts[Held]++
		}
		l.p.mu.Unlock()
		if !black {
			return !fresh || latency == 0 || l.wait(latency)
		}
		select {
		case <-l.over:
			return false
		case <-l.p.life.Done():
			return false
		case <-changed:
		}
	}
}

func (l *link) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.over:
		return false
	case <-l.p.life.Done():
		return false
	case <-t.C:
		return true
	}
}

// cut resets both sides. It returns false if the link had ended before.
func (l *link) cut() bool {
	return l.finish(func(c *net.TCPConn) { reset(c) }, Cuts)
}

// hangUp ends both sides with FIN. What they still send is discarded until they have closed too, because
// closing a socket with unread data sends RST.
func (l *link) hangUp() bool {
	return l.finish(func(c *net.TCPConn) {
		_ = c.SetReadDeadline(time.Now().Add(time.Second)) // long enough for both sides to read the FIN
		_ = c.CloseWrite()
	}, HungUp)
}

// cutClient resets the client's side, and the server's side after a while. It returns false if the link had ended before.
func (l *link) cutClient(late time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.server == nil {
		return false
	}
	l.ended, l.hungUp = true, true
	close(l.over)
	l.p.count(Cuts)
	reset(l.client)
	server := l.server
	l.p.wg.Go(func() {
		t := time.NewTimer(late)
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.p.life.Done():
		}
		reset(server)
	})
	return true
}

// farewell reads a connection that was closed with FIN, or outlives its client, to its end. All others are closed by now.
func (l *link) farewell(from *net.TCPConn) {
	l.mu.Lock()
	hungUp := l.hungUp
	l.mu.Unlock()
	if hungUp {
		_, _ = io.Copy(io.Discard, from)
	}
	_ = from.Close()
}

func (l *link) close() { l.finish(func(c *net.TCPConn) { _ = c.Close() }, "") }

// finish ends the link. as is the fault to count, if there is one.
func (l *link) finish(end func(c *net.TCPConn), as Fault) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended, l.hungUp = true, as == HungUp
	close(l.over)
	if as != "" {
		l.p.count(as) // before client or server can notice it
	}
	end(l.client)
	if l.server != nil {
		end(l.server)
	}
	return true
}

// reset closes a connection with RST in place of FIN, as a crashed host does.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
