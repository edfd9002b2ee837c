package parley

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// The envelope of a message is everything except its body: address, AMQP properties and headers. Stores keep it as
// bytes, because senders may use bytes in it that no text column accepts.
//
// Format: a version byte, then fields in a fixed order. A text is its length (uvarint) and its bytes; a header value is a
// type byte and the data of that type. Readers reject an unknown version.
const envelopeVersion = 1

// envelopeDepth is how deep header values may nest. AMQP has no limit; drivers allow far less.
const envelopeDepth = 64

// EncodeEnvelope encodes m without its body. The encoding is exact: [DecodeEnvelope] returns the same message. An error wraps ErrRefused: a
// header has a type that no message from a broker has, or nests too deep.
func EncodeEnvelope(m *Message) ([]byte, error) {
	b := make([]byte, 0, 256)
	b = append(b, envelopeVersion)
	for _, s := range m.envelopeTexts() {
		b = appendText(b, *s)
	}
	b = append(b, m.Priority)
	b = binary.AppendVarint(b, int64(m.Expiration))
	b = appendInstant(b, m.Timestamp)
	if m.Headers == nil {
		return append(b, 0), nil
	}
	var err error
	b = append(b, 1)
	if b, err = appendTable(b, m.Headers, 0); err != nil {
		return nil, fmt.Errorf("parley: encode envelope: %w: %w", ErrRefused, err)
	}
	return b, nil
}

// envelopeTexts returns the text fields in the order of the format.
func (m *Message) envelopeTexts() [10]*string {
	return [...]*string{
		&m.Exchange, &m.RoutingKey, &m.ID, (*string)(&m.Kind), &m.AppID, &m.CorrelationID, &m.ReplyTo,
		&m.ContentType, &m.ContentEncoding, &m.UserID,
	}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendInstant writes seconds and nanoseconds, because Unix nanoseconds end in the year 2262.
func appendInstant(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func appendTable(b []byte, table map[string]any, depth int) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(table)))
	var err error
	for _, name := range slices.Sorted(maps.Keys(table)) {
		b = appendText(b, name)
		if b, err = appendValue(b, table[name], depth); err != nil {
			return nil, fmt.Errorf("header %q: %w", shorten(name, 80), err)
		}
	}
	return b, nil
}

func appendValue(b []byte, value any, depth int) ([]byte, error) {
	if depth > envelopeDepth {
		return nil, fmt.Errorf("nested deeper than %d", envelopeDepth)
	}
	switch v := value.(type) {
	case nil:
		return append(b, 'n'), nil
	case bool:
		if v {
			return append(b, 't'), nil
		}
		return append(b, 'f'), nil
	case string:
		return appendText(append(b, 's'), v), nil
	case []byte:
		return appendText(append(b, 'x'), string(v)), nil
	case int64:
		return binary.AppendVarint(append(b, 'l'), v), nil
	case int:
		return binary.AppendVarint(append(b, 'l'), int64(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v)), nil
	case time.Time:
		return appendInstant(append(b, 'T'), v), nil
	case map[string]any:
		return appendTable(append(b, 'F'), v, depth+1)
	case []any:
		b = binary.AppendUvarint(append(b, 'A'), uint64(len(v)))
		var err error
		for i := range v {
			if b, err = appendValue(b, v[i], depth+1); err != nil {
				return nil, fmt.Errorf("item %d: %w", i, err)
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("type %T is not allowed in a header", value)
}

var errEnvelope = errors.New("parley: decode envelope: damaged, or written by a newer version of parley")

// DecodeEnvelope decodes the result of EncodeEnvelope. The message has no body.
func DecodeEnvelope(b []byte) (Message, error) {
	r := envelopeReader{b: b}
	var m Message
	if r.byte() != envelopeVersion {
		return m, errEnvelope
	}
	for _, s := range m.envelopeTexts() {
		*s = r.text()
	}
	m.Priority = r.byte()
	m.Expiration = time.Duration(r.varint())
	m.Timestamp = r.time()
	if r.byte() == 1 {
		m.Headers = r.table(0)
	}
	if r.bad || len(r.b) > 0 {
		return Message{}, errEnvelope
	}
	return m, nil
}

// An envelopeReader reads values from the front of b; bad reports whether the data was invalid.
type envelopeReader struct {
	b   []byte
	bad bool
}

func (r *envelopeReader) fail() { r.bad, r.b = true, nil }

func (r *envelopeReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *envelopeReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *envelopeReader) varint() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads the number of items that follow; each takes at least a byte.
func (r *envelopeReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *envelopeReader) text() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *envelopeReader) time() time.Time {
	if r.byte() == 0 {
		return time.Time{}
	}
	seconds := r.varint()
	return time.Unix(seconds, int64(r.uvarint()%1e9)).UTC()
}

func (r *envelopeReader) table(depth int) map[string]any {
	n := r.count()
	table := make(map[string]any, n)
	for range n {
		name := r.text()
		table[name] = r.value(depth)
		if r.bad {
			return nil
		}
	}
	return table
}

func (r *envelopeReader) value(depth int) any {
	if depth > envelopeDepth {
		r.fail()
		return nil
	}
	switch r.byte() {
	case 'n':
		return nil
	case 't':
		return true
	case 'f':
		return false
	case 's':
		return r.text()
	case 'x':
		return []byte(r.text())
	case 'l':
		return r.varint()
	case 'd':
		if len(r.b) < 8 {
			break
		}
		f := math.Float64frombits(binary.BigEndian.Uint64(r.b))
		r.b = r.b[8:]
		return f
	case 'T':
		return r.time()
	case 'F':
		return r.table(depth + 1)
	case 'A':
		n := r.count()
		items := make([]any, 0, n)
		for range n {
			items = append(items, r.value(depth+1))
		}
		return items
	}
	r.fail()
	return nil
}

// CleanText returns s in a form that every database's text column accepts: valid UTF-8, no NUL, at most limit bytes. It is for copies that
// operators search in; the exact text is in the envelope.
func CleanText(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
