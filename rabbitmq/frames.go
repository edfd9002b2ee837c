package rabbitmq

import (
	"bufio"
	"encoding/binary"
	"math"
	"net"
	"sync/atomic"
)

// A frames reader stands between the network and the client library. The library ends the whole connection at a content header that
// it cannot read. One message with lists or tables beyond its limits would be redelivered indefinitely, and end the connection of
// all consumers each time. Such a header is replaced, see readable. All other bytes pass unchanged.
type frames struct {
	net.Conn
	r       *bufio.Reader
	pass    int64        // the number of bytes before the next frame begins
	out     []byte       // a frame to be returned first
	payload atomic.Int64 // the largest payload that the library accepts
}

const (
	frameHead      = 7 // type, channel and size
	frameEnd       = 1
	contentHeader  = 2         // the type of a frame with the properties of a message
	largestContent = 128 << 20 // a larger content header is invalid: the library reports it
)

func newFrames(conn net.Conn, r *bufio.Reader) *frames {
	f := &frames{Conn: conn, r: r}
	f.allow(frameMax)
	return f
}

// allow sets the negotiated frame size.
func (f *frames) allow(frameSize int) { f.payload.Store(int64(frameSize) - frameHead - frameEnd) }

// Read blocks only if it has nothing to return.
func (f *frames) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var c int
		switch {
		case len(f.out) > 0:
			c = copy(p[n:], f.out)
			f.out = f.out[c:]
		case f.pass > 0:
			if n > 0 && f.r.Buffered() == 0 {
				return n, nil
			}
			c, err = f.r.Read(p[n:min(int64(len(p)), int64(n)+f.pass)])
			f.pass -= int64(c)
		default:
			if n > 0 && f.waits() {
				return n, nil
			}
			err = f.begin()
		}
		n += c
	}
	return n, err
}

// waits reports whether begin would block on the network.
func (f *frames) waits() bool {
	if f.r.Buffered() < frameHead {
		return true
	}
	head, _ := f.r.Peek(frameHead) // it is in the buffer
	return head[0] == contentHeader && int64(f.r.Buffered()) < frameHead+int64(binary.BigEndian.Uint32(head[3:]))+frameEnd
}

// begin reads the head of the next frame, and the whole frame if it is a content header.
func (f *frames) begin() error {
	head, err := f.r.Peek(frameHead)
	if err != nil {
		return f.partly(err)
	}
	size := int64(binary.BigEndian.Uint32(head[3:]))
	total := frameHead + size + frameEnd
	switch kind := head[0]; {
	case kind == 'A': // the broker speaks another version of AMQP and answers without a frame
		f.pass = math.MaxInt64
	case kind != contentHeader || size > largestContent:
		f.pass = total
	case total <= int64(f.r.Size()):
		frame, err := f.r.Peek(int(total))
		if err != nil {
			return f.partly(err)
		}
		if other := f.replace(frame); other != nil {
			f.out = other
			_, _ = f.r.Discard(int(total)) // it is in the buffer
			return nil
		}
		f.pass = total
	default:
		return f.large(total)
	}
	return nil
}

// large reads a frame that does not fit into the buffer.
func (f *frames) large(total int64) error {
	frame := make([]byte, 0, min(total, 4*frameMax))
	for int64(len(frame)) < total {
		if len(frame) == cap(frame) {
			frame = append(frame, 0)[:len(frame)]
		}
		n, err := f.r.Read(frame[len(frame):min(int64(cap(frame)), total)])
		frame = frame[:len(frame)+n]
		if err != nil {
			f.out = frame // the part that arrived; the next read returns the error again
			return nil
		}
	}
	f.out = frame
	if other := f.replace(frame); other != nil {
		f.out = other
	}
	return nil
}

// partly passes the beginning of a frame on when the rest does not arrive.
func (f *frames) partly(err error) error {
	if f.pass = int64(f.r.Buffered()); f.pass > 0 {
		return nil
	}
	return err
}

// replace returns the frame to be read instead of a content header, or nil if the library can read the header.
func (f *frames) replace(frame []byte) []byte {
	payload := frame[frameHead : len(frame)-frameEnd]
	other := readable(payload, int(f.payload.Load()))
	if other == nil {
		return nil
	}
	out := append(make([]byte, 0, len(other)+frameHead+frameEnd), frame[:3]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(other)))
	out = append(out, other...)
	return append(out, frame[len(frame)-1])
}
