package faultproxy

import (
	"bufio"
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"time"
)

// A Method is an AMQP method: its class and its number (AMQP 0-9-1, chapter 1).
type Method uint32

// The methods that tests count.
const (
	ConnectionOpen Method = 10<<16 | 40
	ChannelClose   Method = 20<<16 | 40
	BasicPublish   Method = 60<<16 | 40
	BasicReturn    Method = 60<<16 | 50
	BasicDeliver   Method = 60<<16 | 60
	BasicAck       Method = 60<<16 | 80
	BasicNack      Method = 60<<16 | 120
)

// rules are the pending faults.
type rules struct {
	counting bool // of bytes, for CutAfter
	bytes    int64
	swallow  int
	delay    time.Duration
	inBody   bool
	forge    bool
}

// SwallowConfirms withholds the next n confirms (basic.ack, basic.nack) from clients. One
// frame may confirm many messages, and a later one may cover a withheld one.
func (p *Proxy) SwallowConfirms(n int) { p.change(func() { p.rules.swallow = n }) }

// DelayReturn holds up each returned message, and what comes after it on the same
// connection, for d: AMQP promises the return before its confirm, and so does the proxy.
func (p *Proxy) DelayReturn(d time.Duration) { p.change(func() { p.rules.delay = d }) }

// CutInBody forwards half of the next message body that a client sends and resets its connection.
func (p *Proxy) CutInBody() { p.change(func() { p.rules.inBody = true }) }

// ForgeAck replaces the tag of a client's next acknowledgement with one that the server does not know: the server closes
// the channel.
func (p *Proxy) ForgeAck() { p.change(func() { p.rules.forge = true }) }

// Block sends connection.blocked to all connected clients, as RabbitMQ does in
// a memory or disk alarm. It returns the number of these clients.
func (p *Proxy) Block(reason string) int {
	return p.inject(append([]byte{0, 10, 0, 60, byte(len(reason))}, reason...))
}

// Unblock sends connection.unblocked to all connected clients.
func (p *Proxy) Unblock() int { return p.inject([]byte{0, 10, 0, 61}) }

// inject sends a method of channel 0 to each AMQP client, between two frames.
func (p *Proxy) inject(method []byte) int {
	frame := binary.BigEndian.AppendUint32([]byte{methodFrame, 0, 0}, uint32(len(method)))
	frame = append(append(frame, method...), frameEnd)
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.links))
	p.mu.Unlock()
	told := 0
	for _, l := range links {
		if l.inject(frame) {
			told++
		}
	}
	return told
}

func (l *link) inject(frame []byte) bool {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.speaker == nil {
		return false
	}
	_, err := l.speaker.Write(frame)
	return err == nil && l.speaker.Flush() == nil
}

// Sent returns how many methods m clients have sent through the proxy.
func (p *Proxy) Sent(m Method) int { return p.methodCount(m, toServer) }

// Received returns how many methods m the server has sent, with the swallowed ones.
func (p *Proxy) Received(m Method) int { return p.methodCount(m, toClient) }

func (p *Proxy) methodCount(m Method, d direction) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.methods[traffic{m, d}]
}

// traffic is the key by which methods are counted.
type traffic struct {
	m Method
	d direction
}

// allow returns how many of n bytes may still go to the server.
func (p *Proxy) allow(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.rules
	if !r.counting {
		return n
	}
	if int64(n) <= r.bytes {
		r.bytes -= int64(n)
		return n
	}
	allowed := int(r.bytes)
	r.counting = false // only one connection is cut
	return allowed
}

// startsAMQP reports whether the client's first byte is that of the AMQP protocol header.
func startsAMQP(r *bufio.Reader) (bool, error) {
	first, err := r.Peek(1)
	if err != nil || first[0] != 'A' {
		return false, err
	}
	name, err := r.Peek(4)
	return string(name) == "AMQP", err
}

const (
	protocolHeader = 8 // bytes
	frameHeader    = 7
	methodFrame    = 1
	bodyFrame      = 3
	frameEnd       = 0xce
	largestFrame   = 16 << 20
	unknownTag     = 1 << 40 // more than any channel delivers
)

// frames forwards frame by frame.
func (l *link) frames(r *bufio.Reader, w *bufio.Writer, d direction) {
	if d == toServer {
		var header [protocolHeader]byte
		if _, err := io.ReadFull(r, header[:]); err != nil || !l.pass(d, true) || !l.write(w, header[:], d) {
			return
		}
	} else {
		l.writing.Lock()
		l.speaker = w
		l.writing.Unlock()
	}
	var frame []byte
	for {
		fresh := r.Buffered() == 0
		if fresh && l.flush(w, d) != nil {
			return
		}
		var err error
		if frame, err = readFrame(r, frame); err != nil {
			return
		}
		if !l.pass(d, fresh) || !l.frame(w, frame, d) {
			return
		}
	}
}

// flush sends the buffered frames.
func (l *link) flush(w *bufio.Writer, d direction) error {
	if d == toClient {
		l.writing.Lock()
		defer l.writing.Unlock()
	}
	return w.Flush()
}

// readFrame reads a frame into buf.
func readFrame(r *bufio.Reader, buf []byte) ([]byte, error) {
	header, err := r.Peek(frameHeader)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[3:])
	if size > largestFrame {
		return nil, io.ErrUnexpectedEOF // not a valid frame: end the link
	}
	total := frameHeader + int(size) + 1
	if cap(buf) < total {
		buf = make([]byte, total)
	}
	buf = buf[:total]
	_, err = io.ReadFull(r, buf)
	return buf, err
}

// frame applies the rules to one frame. It returns false when the link has ended.
func (l *link) frame(w *bufio.Writer, frame []byte, d direction) bool {
	swallow, delay, half := l.p.judge(frame, d)
	switch {
	case swallow:
		return true
	case half:
		_, _ = w.Write(frame[:len(frame)/2])
		_ = w.Flush()
		l.cut()
		return false
	case delay > 0:
		if l.flush(w, d) != nil || !l.wait(delay) {
			return false
		}
	}
	if d == toClient {
		l.writing.Lock()
		defer l.writing.Unlock()
	}
	return l.write(w, frame, d)
}

func (p *Proxy) judge(frame []byte, d direction) (swallow bool, delay time.Duration, half bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if frame[0] == bodyFrame && d == toServer && p.rules.inBody {
		p.rules.inBody = false
		return false, 0, true
	}
	if frame[0] != methodFrame || len(frame) < frameHeader+4 {
		return false, 0, false
	}
	m := Method(binary.BigEndian.Uint32(frame[frameHeader:]))
	p.methods[traffic{m, d}]++
	if d == toServer {
		if m == BasicAck && p.rules.forge && len(frame) >= frameHeader+12 {
			binary.BigEndian.PutUint64(frame[frameHeader+4:], unknownTag)
			p.rules.forge = false
			p.counts[Forged]++
		}
		return false, 0, false
	}
	switch {
	case (m == BasicAck || m == BasicNack) && p.rules.swallow > 0:
		p.rules.swallow--
		p.counts[Swallowed]++
		return true, 0, false
	case m == BasicReturn && p.rules.delay > 0:
		p.counts[Delayed]++
		return false, p.rules.delay, false
	}
	return false, 0, false
}
