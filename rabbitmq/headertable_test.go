package rabbitmq

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	amqp "github.com/rabbitmq/amqp091-go"
)

// nested returns a table with depth tables (or lists) within each other.
func nested(depth int, kind byte) []byte {
	inner := wireLong(nil)
	for i := range depth {
		field := append([]byte{kind}, inner...)
		if kind == 'F' || i == depth-1 {
			field = wireField("n", kind, inner)
		}
		inner = wireLong(field)
	}
	return inner
}

func TestHeadersThatTheLibraryCannotReadAreReplaced(t *testing.T) {
	keep := wireText("parley-exchange", "user")
	with := func(fields ...[]byte) []byte { return wireLong(slicesJoin(append([][]byte{keep}, fields...)...)) }
	many := func(n int, item []byte) []byte { return wireLong(bytes.Repeat(item, n)) }
	for what, c := range map[string]struct {
		table  []byte
		reason string // empty: the library can read it
	}{
		"usual":                     {with(wireText("a", "b")), ""},
		"empty":                     {with(), ""},
		"tables 32 deep":            {with(nested(31, 'F')[4:]), ""},
		"tables 33 deep":            {with(nested(33, 'F')[4:]), "nested deeper than 32"},
		"lists 33 deep":             {with(nested(33, 'A')[4:]), "nested deeper than 32"},
		"a list of 8192":            {with(wireField("l", 'A', many(8192, []byte("V")))), ""},
		"a list of 8193":            {with(wireField("l", 'A', many(8193, []byte("V")))), "list with more than 8192"},
		"a table of 8193":           {with(wireField("l", 'F', manyNames(8193))), "table with more than 8192"},
		"8193 headers":              {append(binary.BigEndian.AppendUint32(nil, uint32(len(keep)+len(manyNames(8192))-4)), append(keep, manyNames(8192)[4:]...)...), "table with more than 8192"},
		"an unknown type":           {with(wireField("u", 'Z', []byte("??"))), "unknown type 'Z'"},
		"an unknown type in a list": {with(wireField("u", 'A', wireLong([]byte("Z")))), "unknown type 'Z'"},
		"a text that is cut":        {with(wireField("u", 'S', []byte{0, 0, 1, 0, 'x'})), "end too early"},
		"a negative length":         {with(wireField("u", 'x', []byte{255, 255, 255, 255})), "end too early"},
		"a name that is cut":        {with([]byte{200, 'x'}), "end too early"},
		"a decimal that is cut":     {with(wireField("d", 'D', []byte{1, 2})), "end too early"},
		"all types": {with(wireField("t", 't', []byte{1}), wireField("b", 'b', []byte{1}), wireField("B", 'B', []byte{1}), wireField("s", 's', []byte{1, 2}),
			wireField("u", 'u', []byte{1, 2}), wireField("I", 'I', []byte{1, 2, 3, 4}), wireField("i", 'i', []byte{1, 2, 3, 4}), wireField("f", 'f', []byte{1, 2, 3, 4}),
			wireField("D", 'D', []byte{255, 1, 2, 3, 4}), wireField("l", 'l', make([]byte, 8)), wireField("d", 'd', make([]byte, 8)),
			wireField("T", 'T', bytes.Repeat([]byte{255}, 8)), wireField("V", 'V', nil), wireField("x", 'x', wireLong([]byte{1}))), ""},
		"larger than the frame": {with(wireText("large", strings.Repeat("x", 200_000))), "the connection allows 131064"},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLibrary(t)
			defer l.close()
			d := l.deliver(t, wireHeader(c.table))
			if d.ContentType != "text/json" || d.MessageId != "id-1" || string(d.Body) != "{}" || d.Headers["parley-exchange"] != "user" {
				t.Errorf("content type %q, message id %q, body %s and headers %v arrive, want all readable ones", d.ContentType, d.MessageId, d.Body, names(d.Headers))
			}
			reason, _ := d.Headers[parley.HeaderUnreadable].(string)
			if (c.reason == "") != (reason == "") || !strings.Contains(reason, c.reason) {
				t.Errorf("the reason is %q, want %q", reason, c.reason)
			}
			if m := fromDelivery(&d); m.Header(parley.HeaderUnreadable) != reason {
				t.Errorf("the consumer sees the reason %q, want %q", m.Header(parley.HeaderUnreadable), reason)
			}
			if raw, _ := d.Headers[rawHeaders].([]byte); c.reason != "" && len(c.table) < 60_000 && !bytes.Equal(raw, c.table) {
				t.Errorf("%d bytes of the table are kept as they came, want %d", len(raw), len(c.table))
			}
		})
	}
}

func names(table amqp.Table) (out []string) {
	for name := range table {
		out = append(out, name)
	}
	return out
}

// manyNames returns a table with n entries.
func manyNames(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, wireField(fmt.Sprint(i), 'V', nil)...)
	}
	return wireLong(b)
}

func TestPropertiesBeyondTheHeadersThatCannotBeReadAreLeftOut(t *testing.T) {
	l := newLibrary(t)
	defer l.close()
	whole := wireHeader(wireLong(wireText("a", "b")))
	for cut := len(whole); cut >= contentStart; cut-- {
		d := l.deliver(t, whole[:cut])
		if reason, _ := d.Headers[parley.HeaderUnreadable].(string); (cut < len(whole)) != (reason != "") {
			t.Errorf("%d of %d bytes: the reason is %q", cut, len(whole), reason)
		}
	}
}

func FuzzTheLibraryReadsWhatIsLeftOfAnyHeader(f *testing.F) {
	for _, table := range [][]byte{wireLong(wireText("a", "b")), nested(40, 'F'), nested(40, 'A'), wireLong(wireField("u", 'Z', nil)), nil} {
		f.Add(wireHeader(table))
	}
	var l *library
	f.Cleanup(func() {
		if l != nil {
			l.close()
		}
	})
	f.Fuzz(func(t *testing.T, header []byte) {
		if len(header) < contentStart || len(header) > 1<<20 {
			return
		}
		if l == nil || l.conn.IsClosed() {
			l = newLibrary(t)
		}
		copy(header[4:], []byte{0, 0, 0, 0, 0, 0, 0, 2}) // the body is what it is
		l.deliver(t, header)
	})
}
