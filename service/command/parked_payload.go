package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// An editable is the part of a body that an operator edits, and the function that puts a new text in its place.
type editable struct {
	text []byte
	with func(text []byte) ([]byte, error)
}

// editablePart returns the payload of a body, or with raw the whole body. The payload is the member payload of an event, data of a
// call or a reply, and the body of a command without meta.
func editablePart(kind parley.Kind, body []byte, raw bool) (*editable, error) {
	members, err := membersOf(body)
	if raw {
		return rawPart(kind, body, members), nil
	}
	if err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w (use --raw)", err)
	}
	name := "payload"
	switch kind {
	case parley.KindCommand:
		return argumentsPart(kind, body, members), nil
	case parley.KindCall, parley.KindReply:
		name = "data"
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, fmt.Errorf("the body has no member %q (use --raw)", name)
	}
	m := members[i]
	return &editable{body[m.start:m.end], func(text []byte) ([]byte, error) {
		value, err := compact(text)
		if err != nil {
			return nil, err
		}
		out := slices.Concat(body[:m.start], value, body[m.end:])
		return out, parley.CheckBody(kind, out)
	}}, nil
}

// rawPart is the whole body. A new one must have all members of the envelope.
func rawPart(kind parley.Kind, body []byte, members []member) *editable {
	return &editable{body, func(text []byte) ([]byte, error) {
		out, err := compact(text)
		if err != nil {
			return nil, err
		}
		now, err := membersOf(out)
		if err != nil && len(members) > 0 {
			return nil, fmt.Errorf("the body must stay a JSON object: %w", err)
		}
		var lost []string
		for _, m := range members {
			if isEnvelope(kind, m.name) && !slices.ContainsFunc(now, func(n member) bool { return n.name == m.name }) {
				lost = append(lost, m.name)
			}
		}
		if len(lost) > 0 {
			return nil, fmt.Errorf("the new body lacks %s of the envelope (leave out --raw to edit the payload only)", strings.Join(lost, ", "))
		}
		return out, parley.CheckBody(kind, out)
	}}
}

// isEnvelope reports whether a member belongs to the envelope. Of a command only meta does: the others are its arguments.
func isEnvelope(kind parley.Kind, name string) bool {
	return kind != parley.KindCommand || name == "meta"
}

// argumentsPart is the body of a command without its member meta.
func argumentsPart(kind parley.Kind, body []byte, members []member) *editable {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == "meta" })
	if i < 0 {
		return rawPart(kind, body, members)
	}
	var arguments []string
	for _, m := range members {
		if m.name != "meta" {
			arguments = append(arguments, string(body[m.nameStart:m.end]))
		}
	}
	meta := string(body[members[i].nameStart:members[i].end])
	return &editable{[]byte("{" + strings.Join(arguments, ", ") + "}"), func(text []byte) ([]byte, error) {
		value, err := compact(text)
		if err != nil {
			return nil, err
		}
		now, err := membersOf(value)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the arguments of a command must be a JSON object: %w", err)
		case slices.ContainsFunc(now, func(m member) bool { return m.name == "meta" }):
			return nil, errors.New("the arguments of a command must not have a member meta (use --raw to edit meta)")
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(string(value), "{"), "}")
		if inner != "" {
			inner += ", "
		}
		out := []byte("{" + inner + meta + "}")
		return out, parley.CheckBody(kind, out)
	}}
}

// compact checks JSON and removes its spaces.
func compact(text []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, bytes.TrimSpace(text)); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return out.Bytes(), nil
}

// A member is the place of a member of a JSON object: its name with quotes begins at nameStart, its value at start.
type member struct {
	name                  string
	nameStart, start, end int
}

// membersOf returns the members of a JSON object, in their order.
func membersOf(body []byte) ([]member, error) {
	if !json.Valid(body) {
		return nil, errors.New("not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	var out []member
	for dec.More() {
		after := int(dec.InputOffset())
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: fmt.Sprint(name), nameStart: after + bytes.IndexByte(body[after:], '"')}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		m.end = int(dec.InputOffset())
		m.start = m.end - len(value)
		out = append(out, m)
	}
	return out, nil
}
