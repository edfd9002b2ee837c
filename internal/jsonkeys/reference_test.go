package jsonkeys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// A node is a document decoded in the plainest way, with members in order: the
// reference that the walker must agree with.
type node struct {
	kind   byte // '{', '[' or 0 for everything else
	scalar string
	keys   []string
	values []*node
}

func parse(doc []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	return parseValue(d)
}

func parseValue(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		b, err := json.Marshal(token)
		return &node{scalar: string(b)}, err
	}
	n := &node{kind: byte(delim)}
	for d.More() {
		if n.kind == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			n.keys = append(n.keys, key.(string))
		}
		v, err := parseValue(d)
		if err != nil {
			return nil, err
		}
		n.values = append(n.values, v)
	}
	_, err = d.Token()
	return n, err
}

// asDict does to repeated keys what a Python dict does.
func (n *node) asDict() *node {
	out := &node{kind: '{'}
	at := map[string]int{}
	for i, key := range n.keys {
		if j, ok := at[key]; ok {
			out.values[j] = n.values[i]
			continue
		}
		at[key] = len(out.keys)
		out.keys = append(out.keys, key)
		out.values = append(out.values, n.values[i])
	}
	return out
}

func (n *node) rewritten(rule func(string) string) *node {
	in := n
	if n.kind == '{' {
		in = n.asDict()
	}
	out := &node{kind: in.kind, scalar: in.scalar}
	for _, key := range in.keys {
		out.keys = append(out.keys, rule(key))
	}
	for _, v := range in.values {
		out.values = append(out.values, v.rewritten(rule))
	}
	if n.kind == '{' {
		return out.asDict()
	}
	return out
}

func (n *node) String() string {
	if n.kind == 0 {
		return n.scalar
	}
	var parts []string
	for i, v := range n.values {
		if n.kind == '{' {
			parts = append(parts, fmt.Sprintf("%q:%s", n.keys[i], v))
		} else {
			parts = append(parts, v.String())
		}
	}
	return string(n.kind) + strings.Join(parts, ",") + string(n.kind+2)
}

func reencode(t testing.TB, doc []byte) string {
	t.Helper()
	n, err := parse(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return n.String()
}

// mayTravel says of a document that encoding/json takes for valid whether it
// may also travel: the slow, obvious way.
func mayTravel(doc []byte) bool {
	if !utf8.Valid(doc) {
		return false
	}
	s := strings.ReplaceAll(strings.ToLower(string(doc)), `\\`, "")
	if strings.Contains(s, `\u0000`) {
		return false
	}
	for i := strings.Index(s, `\ud`); i >= 0; i = strings.Index(s, `\ud`) {
		s = s[i:]
		switch c := s[3]; {
		case c <= '7':
			s = s[6:]
		case strings.ContainsRune("89ab", rune(c)) && len(s) >= 12 && s[6:9] == `\ud` && strings.ContainsRune("cdef", rune(s[9])):
			s = s[12:]
		default:
			return false
		}
	}
	return true
}
