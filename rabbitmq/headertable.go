package rabbitmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-go/parley"
)

// Limits of the client library for the headers of a received message. RabbitMQ limits only their size.
const (
	libraryDepth = 32
	libraryItems = 8192
)

const (
	// keptValue is the largest size of a field that is kept from unreadable headers.
	keptValue = 4 << 10
	// keptFields is the largest number of fields that are kept.
	keptFields = 1000
	// reasonRoom is the room for the header with the reason, which contains at most three quoted names of 255 bytes.
	reasonRoom = 4 << 10
)

// rawHeaders is the header with the original bytes of the unreadable table, unless it is too large.
const rawHeaders = "parley-raw-headers"

// contentStart is the size of class, weight, body size and flags.
const contentStart = 14

const (
	flagContentType     = 1 << 15
	flagContentEncoding = 1 << 14
	flagHeaders         = 1 << 13
)

// propertySizes are the sizes of the properties after the headers, by their flags from 12 down: -1 is a short string.
var propertySizes = [...]int{1, 1, -1, -1, -1, -1, 8, -1, -1, -1, -1}

// readable returns a content header to be read instead of one that the library cannot read or whose frame is too
// large, and nil for all others. The returned header has a field with the reason, and those fields of the headers that can be kept.
// The other properties are kept if they are readable.
func readable(payload []byte, limit int) []byte {
	if len(payload) < contentStart {
		return nil
	}
	flags := binary.BigEndian.Uint16(payload[12:])
	c := cursor{rest: payload[contentStart:]}
	if flags&flagContentType != 0 {
		c.shortString()
	}
	if flags&flagContentEncoding != 0 {
		c.shortString()
	}
	if c.err != nil {
		return replaced{payload: payload, start: contentStart, end: len(payload), problem: c.err}.encode(limit)
	}
	r := replaced{payload: payload, start: len(payload) - len(c.rest)}
	if flags&flagHeaders != 0 {
		c.table(0)
	}
	if c.err != nil { // the other properties begin after the length of the table
		r.problem = c.err
		c = cursor{rest: payload[r.start:]}
		c.longString()
	}
	r.end = len(payload) - len(c.rest)
	c.properties(flags)
	switch {
	case c.err != nil:
		r.end, r.problem = len(payload), c.err
	case r.problem != nil:
		r.keepsRest = true
	case len(payload) > limit:
		r.keepsRest = true
		r.problem = fmt.Errorf("the properties have %d bytes, the connection allows %d", len(payload), limit)
	default:
		return nil
	}
	return r.encode(limit)
}

// replaced is a content header whose payload[start:end], the headers, are replaced. The properties after them are lost unless
// they are kept.
type replaced struct {
	payload    []byte
	start, end int
	keepsRest  bool
	problem    error
}

func (r replaced) encode(limit int) []byte {
	flags := binary.BigEndian.Uint16(r.payload[12:]) | flagHeaders
	before, rest := r.payload[contentStart:r.start], r.payload[r.end:]
	if !r.keepsRest {
		flags &= flagContentType | flagContentEncoding | flagHeaders
		rest = nil
	}
	if len(before) == 0 {
		flags &^= flagContentType | flagContentEncoding
	}
	room := limit - contentStart - len(before) - len(rest) - reasonRoom
	table := keep(r.payload[r.start:r.end], r.problem, room/2)
	out := append(make([]byte, 0, limit), r.payload[:12]...)
	out = binary.BigEndian.AppendUint16(out, flags)
	out = append(out, before...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(table)))
	return append(append(out, table...), rest...)
}

// keep returns the fields of a table, without its length, that are readable: texts and numbers, a header with the reason
// why the table was unreadable, and the original table. The fields may take room bytes, and so may the table.
func keep(raw []byte, problem error, room int) []byte {
	out := make([]byte, 0, min(len(raw), room)+reasonRoom)
	var dropped []string
	kept := 0
	c := cursor{rest: raw[min(4, len(raw)):]}
	for len(c.rest) > 0 {
		before := c.rest
		name := string(c.shortString())
		var kind byte
		if b := c.take(1); b != nil {
			kind = b[0]
		}
		c.skip(kind)
		if c.err != nil {
			break
		}
		field := before[:len(before)-len(c.rest)]
		switch {
		case name == parley.HeaderUnreadable || name == rawHeaders: // set below
		case kind == 'A' || kind == 'F' || len(field) > keptValue || len(out)+len(field) > room || kept == keptFields:
			dropped = append(dropped, name)
		default:
			out = append(out, field...)
			kept++
		}
	}
	reason := problem.Error()
	if len(dropped) > 0 {
		reason += fmt.Sprintf(" (left out: %.200q)", dropped[:min(len(dropped), 3)])
	}
	out = appendField(out, parley.HeaderUnreadable, 'S', []byte(strings.ToValidUTF8(reason, "�")))
	if len(raw) <= room {
		out = appendField(out, rawHeaders, 'x', raw)
	}
	return out
}

func appendField(dst []byte, name string, kind byte, value []byte) []byte {
	dst = append(append(dst, byte(len(name))), name...)
	dst = binary.BigEndian.AppendUint32(append(dst, kind), uint32(len(value)))
	return append(dst, value...)
}

// A cursor decodes AMQP's encoding. After the first error it reads nothing more.
type cursor struct {
	rest []byte
	err  error
}

var errTruncated = errors.New("the properties end too early")

func (c *cursor) take(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.rest)) {
		c.err = errTruncated
	}
	if c.err != nil {
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) shortString() []byte {
	if b := c.take(1); b != nil {
		return c.take(int(b[0]))
	}
	return nil
}

func (c *cursor) longString() []byte {
	if b := c.take(4); b != nil {
		return c.take(int(binary.BigEndian.Uint32(b)))
	}
	return nil
}

// properties reads the properties after the headers.
func (c *cursor) properties(flags uint16) {
	for i, size := range propertySizes {
		switch {
		case flags&(1<<(12-i)) == 0:
		case size < 0:
			c.shortString()
		default:
			c.take(size)
		}
	}
}

// table reads a table in the same way as the library.
func (c *cursor) table(depth int) {
	c.container("table", depth, true)
}

func (c *cursor) container(what string, depth int, named bool) {
	if c.err == nil && depth > libraryDepth {
		c.err = fmt.Errorf("the headers are nested deeper than %d", libraryDepth)
	}
	content := c.longString()
	in := cursor{rest: content, err: c.err}
	for n := 0; len(in.rest) > 0 && in.err == nil; n++ {
		if n == libraryItems {
			in.err = fmt.Errorf("the headers have a %s with more than %d items", what, libraryItems)
			break
		}
		if named {
			in.shortString()
		}
		in.field(depth)
	}
	c.err = in.err
}

func (c *cursor) field(depth int) {
	b := c.take(1)
	if b == nil {
		return
	}
	switch b[0] {
	case 'A':
		c.container("list", depth+1, false)
	case 'F':
		c.container("table", depth+1, true)
	default:
		c.skip(b[0])
	}
}

// skip passes the value of a field without decoding it.
func (c *cursor) skip(kind byte) {
	if c.err != nil {
		return
	}
	switch kind {
	case 'V':
	case 't', 'b', 'B':
		c.take(1)
	case 's', 'u':
		c.take(2)
	case 'I', 'i', 'f':
		c.take(4)
	case 'D':
		c.take(5)
	case 'l', 'd', 'T':
		c.take(8)
	case 'S', 'x', 'A', 'F':
		c.longString()
	default:
		c.err = fmt.Errorf("the headers have a field of the unknown type %q", kind)
	}
}
