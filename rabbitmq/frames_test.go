package rabbitmq

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The parts of AMQP that a broker sends, written by hand.

func wireFrame(kind byte, channel uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), 0xCE)
}

func wireMethod(channel, class, method uint16, args ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, class)
	b = binary.BigEndian.AppendUint16(b, method)
	return wireFrame(1, channel, append(b, bytes.Join(args, nil)...))
}

func wireShort(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func wireLong(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func wireField(name string, kind byte, value []byte) []byte {
	return append(append(wireShort(name), kind), value...)
}

func wireText(name, value string) []byte { return wireField(name, 'S', wireLong([]byte(value))) }

// wireHeader is a content header with a content type, a table of headers and a message id, for a body of two bytes.
func wireHeader(table []byte) []byte {
	b := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}
	b = binary.BigEndian.AppendUint16(b, flagContentType|flagHeaders|1<<7)
	b = append(b, wireShort("text/json")...)
	return append(append(b, table...), wireShort("id-1")...)
}

func wireDelivery(tag uint64, header []byte) []byte {
	number := binary.BigEndian.AppendUint64(nil, tag)
	return slicesJoin(
		wireMethod(1, 60, 60, wireShort("c"), number, []byte{0}, wireShort("x"), wireShort("k")),
		wireFrame(contentHeader, 1, header), wireFrame(3, 1, []byte("{}")),
	)
}

func slicesJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// library is the client library at the other end of a connection, with a consumer. All data passes through a frames reader.
type library struct {
	far        net.Conn
	conn       *amqp.Connection
	deliveries <-chan amqp.Delivery
	tag        uint64
}

// newLibrary does the handshakes of a broker.
func newLibrary(t testing.TB) *library {
	t.Helper()
	near, far := net.Pipe()
	l := &library{far: far}
	answers := make(chan error, 1)
	go func() { answers <- l.greet() }()
	in := newFrames(near, bufio.NewReaderSize(near, readBuffer))
	var err error
	l.conn, err = amqp.Open(in, amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{}}, Heartbeat: -1, FrameSize: frameMax})
	if err != nil {
		t.Fatal(err)
	}
	in.allow(l.conn.Config.FrameSize)
	ch, err := l.conn.Channel()
	if err == nil {
		l.deliveries, err = ch.Consume("q", "c", true, false, false, false, nil)
	}
	if err == nil {
		err = <-answers
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, far) }() // what the library writes from now on
	return l
}

func (l *library) close() {
	_ = l.far.Close()
	_ = l.conn.CloseDeadline(time.Now())
}

func (l *library) greet() error {
	protocol := make([]byte, 8)
	if _, err := io.ReadFull(l.far, protocol); err != nil {
		return err
	}
	for _, answer := range [][]byte{
		wireMethod(0, 10, 10, []byte{0, 9}, wireLong(nil), wireLong([]byte("PLAIN")), wireLong([]byte("en_US"))),
		wireMethod(0, 10, 30, []byte{7, 255, 0, 2, 0, 0, 0, 0}),
		nil, // tune-ok has no answer
		wireMethod(0, 10, 41, wireShort("")),
		wireMethod(1, 20, 11, wireLong(nil)),
		wireMethod(1, 60, 21, wireShort("c")),
	} {
		if answer != nil {
			if _, err := l.far.Write(answer); err != nil {
				return err
			}
		}
		if len(answer) > 0 && answer[10] == 21 && answer[8] == 60 {
			return nil
		}
		if err := l.skipFrame(); err != nil {
			return err
		}
	}
	return nil
}

func (l *library) skipFrame() error {
	var head [frameHead]byte
	if _, err := io.ReadFull(l.far, head[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, l.far, int64(binary.BigEndian.Uint32(head[3:]))+frameEnd)
	return err
}

// deliver sends a content header and returns what the library reads from it.
func (l *library) deliver(t testing.TB, header []byte) amqp.Delivery {
	t.Helper()
	l.tag++
	_ = l.far.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := l.far.Write(wireDelivery(l.tag, header)); err != nil {
		t.Fatalf("the library has ended the connection: %v", err)
	}
	select {
	case d, ok := <-l.deliveries:
		if !ok {
			t.Fatal("the library has ended the connection")
		}
		return d
	case <-time.After(10 * time.Second):
		t.Fatal("no delivery arrives")
	}
	return amqp.Delivery{}
}

func TestFramesPassAsTheyAre(t *testing.T) {
	var stream []byte
	for i := range 50 {
		stream = append(stream, wireDelivery(uint64(i), wireHeader(wireLong(wireText("a", strings.Repeat("b", i*1500)))))...)
		stream = append(stream, wireFrame(8, 0, nil)...)
		stream = append(stream, wireFrame(3, 1, make([]byte, i*3000))...)
	}
	for end := range 3 {
		whole := stream[:len(stream)-end*20] // also one that is cut
		for name, source := range map[string]io.Reader{
			"whole": bytes.NewReader(whole), "byte by byte": iotest.OneByteReader(bytes.NewReader(whole)),
			"in halves": iotest.HalfReader(bytes.NewReader(whole)), "with its end": iotest.DataErrReader(bytes.NewReader(whole)),
		} {
			got, err := io.ReadAll(newFrames(nil, bufio.NewReaderSize(source, readBuffer)))
			if err != nil || !bytes.Equal(got, whole) {
				t.Errorf("%s: %d bytes came through (%v), want %d as they were", name, len(got), err, len(whole))
			}
		}
	}
	other := "AMQP\x00\x01\x00\x00"
	if got, err := io.ReadAll(newFrames(nil, bufio.NewReader(strings.NewReader(other)))); err != nil || string(got) != other {
		t.Errorf("a broker of another version says %q (%v), want %q", got, err, other)
	}
}

// A frame that is not there yet must not hold back one that is.
func TestAFrameIsReadBeforeTheNextOneComes(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	f := newFrames(near, bufio.NewReaderSize(near, readBuffer))
	first, second := wireFrame(8, 0, nil), wireFrame(contentHeader, 1, wireHeader(wireLong(nil)))
	go func() { _, _ = far.Write(append(bytes.Clone(first), second[:10]...)) }()
	got := make([]byte, 1000)
	n, err := f.Read(got)
	if err != nil || !bytes.Equal(got[:n], first) {
		t.Fatalf("%d bytes (%v), want the first frame at once", n, err)
	}
	go func() { _, _ = far.Write(second[10:]) }()
	if n, err = io.ReadFull(f, got[:len(second)]); err != nil || !bytes.Equal(got[:n], second) {
		t.Errorf("%d bytes (%v), want the second frame", n, err)
	}
}

func FuzzFramesPassInAnyPieces(f *testing.F) {
	f.Add(wireDelivery(1, wireHeader(wireLong(wireText("a", "b")))), uint64(1))
	f.Add(wireDelivery(1, wireHeader(nested(40, 'F'))), uint64(2))
	f.Add([]byte{contentHeader, 0, 1, 255, 255, 255, 255}, uint64(3))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		whole, err := io.ReadAll(newFrames(nil, bufio.NewReaderSize(bytes.NewReader(stream), readBuffer)))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		pieces := newFrames(nil, bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(stream)), readBuffer))
		var got []byte
		for {
			p := make([]byte, 1+r.IntN(100))
			n, err := pieces.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, whole) {
			t.Errorf("%d bytes in pieces, %d at once, or others", len(got), len(whole))
		}
	})
}

func BenchmarkReadFrames(b *testing.B) {
	delivery := wireDelivery(1, wireHeader(wireLong(slicesJoin(wireText("traceparent", strings.Repeat("0", 55)), wireText("parley-key", "user-4711"),
		wireText("x", "y"), wireField("n", 'l', make([]byte, 8))))))
	stream := bytes.Repeat(delivery, 10_000)
	p := make([]byte, 4096) // as the library reads
	for name, wrap := range map[string]func(*bufio.Reader) io.Reader{
		"plain":  func(r *bufio.Reader) io.Reader { return r },
		"frames": func(r *bufio.Reader) io.Reader { return newFrames(nil, r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(delivery)))
			var r io.Reader
			left := 0
			for b.Loop() {
				if left <= 0 {
					r, left = wrap(bufio.NewReaderSize(bytes.NewReader(stream), readBuffer)), len(stream)
				}
				for n := 0; n < len(delivery); {
					c, err := r.Read(p[:min(len(p), len(delivery)-n)])
					if n += c; err != nil {
						b.Fatal(err)
					}
				}
				left -= len(delivery)
			}
		})
	}
}
