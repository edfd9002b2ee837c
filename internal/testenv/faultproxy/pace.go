package faultproxy

import (
	"net"
	"time"
)

// A pacedWriter writes to one side of a link, as fast as Throttle lets it.
type pacedWriter struct {
	l  *link
	to *net.TCPConn
}

// steps is the number of pieces into which the bytes of a second are split: heartbeats must not wait for a whole second.
const steps = 20

func (w *pacedWriter) Write(data []byte) (written int, err error) {
	for written < len(data) {
		next := data[written:]
		pace := w.l.p.currentPace()
		if pace > 0 {
			next = next[:min(len(next), max(pace/steps, 1))]
		}
		n, err := w.to.Write(next)
		written += n
		if err != nil {
			return written, err
		}
		if pace > 0 {
			w.l.p.count(Throttled)
			if !w.l.wait(time.Second * time.Duration(n) / time.Duration(pace)) {
				return written, net.ErrClosed
			}
		}
	}
	return written, nil
}

func (p *Proxy) currentPace() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pace
}
