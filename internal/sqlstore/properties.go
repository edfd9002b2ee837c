package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-go/parley"
)

// properties are the parts of a message that a row stores in one column.
type properties struct {
	MessageID       string            `json:"message_id,omitempty"`
	CorrelationID   string            `json:"correlation_id,omitempty"`
	AppID           string            `json:"app_id,omitempty"`
	ReplyTo         string            `json:"reply_to,omitempty"`
	ContentType     string            `json:"content_type,omitempty"`
	ContentEncoding string            `json:"content_encoding,omitempty"`
	Priority        uint8             `json:"priority,omitempty"`
	Expiration      time.Duration     `json:"expiration,omitempty"` // in nanoseconds
	Timestamp       *time.Time        `json:"timestamp,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"`
}

// EncodeProperties returns the parts of a message without columns of their own, as JSON. For headers
// that are not strings it returns a *parley.InvalidError.
func EncodeProperties(m *parley.Message) (string, error) {
	text, err := AppendProperties(make([]byte, 0, 192), m)
	return string(text), err
}

// AppendProperties appends the result of EncodeProperties to dst. It does not use encoding/json, because it runs for
// every message: encoding/json takes five times as long.
func AppendProperties(dst []byte, m *parley.Message) ([]byte, error) {
	dst = append(dst, '{')
	start := len(dst)
	for _, p := range [...]struct{ name, value string }{
		{`"message_id":`, m.ID}, {`"correlation_id":`, m.CorrelationID}, {`"app_id":`, m.AppID}, {`"reply_to":`, m.ReplyTo},
		{`"content_type":`, m.ContentType}, {`"content_encoding":`, m.ContentEncoding},
	} {
		if p.value != "" {
			dst = appendText(append(comma(dst, start), p.name...), p.value)
		}
	}
	if m.Priority != 0 {
		dst = strconv.AppendUint(append(comma(dst, start), `"priority":`...), uint64(m.Priority), 10)
	}
	if m.Expiration != 0 {
		dst = strconv.AppendInt(append(comma(dst, start), `"expiration":`...), int64(m.Expiration), 10)
	}
	if !m.Timestamp.IsZero() {
		text, err := m.Timestamp.UTC().MarshalText() // in other zones it may be in a year or at an offset that RFC 3339 has no form for
		if err != nil {
			return nil, err
		}
		dst = append(append(append(comma(dst, start), `"timestamp":"`...), text...), '"')
	}
	if len(m.Headers) > 0 {
		var err error
		if dst, err = appendHeaders(append(comma(dst, start), `"headers":`...), m.Headers); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendHeaders(dst []byte, headers map[string]any) ([]byte, error) {
	dst = append(dst, '{')
	start := len(dst)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		text, ok := headers[name].(string)
		if !ok {
			return nil, &parley.InvalidError{What: "header", Value: name, Problem: fmt.Sprintf("is a %T: an outbox holds strings only", headers[name])}
		}
		dst = append(appendText(comma(dst, start), name), ':')
		dst = appendText(dst, text)
	}
	return append(dst, '}'), nil
}

// comma separates a member from the one before it, if there is one.
func comma(dst []byte, start int) []byte {
	if len(dst) > start {
		return append(dst, ',')
	}
	return dst
}

// appendText appends s as a JSON string.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // encoding a string cannot fail
			return append(dst, text...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// DecodeProperties reads what EncodeProperties wrote into m.
func DecodeProperties(text []byte, m *parley.Message) error {
	var p properties
	if r := (plainReader{rest: text}); !r.properties(&p) {
		p = properties{}
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("read properties: %w", err)
		}
	}
	m.ID, m.CorrelationID, m.AppID, m.ReplyTo = p.MessageID, p.CorrelationID, p.AppID, p.ReplyTo
	m.ContentType, m.ContentEncoding = p.ContentType, p.ContentEncoding
	m.Priority, m.Expiration = p.Priority, p.Expiration
	if p.Timestamp != nil {
		m.Timestamp = *p.Timestamp
	}
	for name, value := range p.Headers {
		m.SetHeader(name, value)
	}
	return nil
}

// A plainReader reads properties in their usual form: known members, strings without
// escapes. It leaves all other forms to encoding/json.
type plainReader struct{ rest []byte }

func (r *plainReader) properties(p *properties) bool {
	return r.object(func(key, value []byte) bool {
		switch string(key) {
		case "message_id":
			p.MessageID = string(value)
		case "correlation_id":
			p.CorrelationID = string(value)
		case "app_id":
			p.AppID = string(value)
		case "reply_to":
			p.ReplyTo = string(value)
		case "content_type":
			p.ContentType = string(value)
		case "content_encoding":
			p.ContentEncoding = string(value)
		case "timestamp":
			p.Timestamp = new(time.Time)
			return p.Timestamp.UnmarshalText(value) == nil
		default:
			return false
		}
		return true
	}, func(key []byte) bool {
		if p.Headers == nil {
			p.Headers = map[string]string{}
		}
		return string(key) == "headers" && r.object(func(key, value []byte) bool {
			p.Headers[string(key)] = string(value)
			return true
		}, nil)
	}) && len(r.rest) == 0
}

// object reads an object of texts. A value that is an object itself is passed to nested.
func (r *plainReader) object(member func(key, value []byte) bool, nested func(key []byte) bool) bool {
	if !r.token('{') {
		return false
	}
	if r.token('}') {
		return true
	}
	for {
		key, ok := r.text()
		if !ok || !r.token(':') {
			return false
		}
		if nested != nil && len(r.rest) > 0 && r.rest[0] == '{' {
			ok = nested(key)
		} else {
			var value []byte
			value, ok = r.text()
			ok = ok && member(key, value)
		}
		switch {
		case !ok:
			return false
		case r.token('}'):
			return true
		case !r.token(','):
			return false
		}
	}
}

// token consumes c and the white space after it, if c is next.
func (r *plainReader) token(c byte) bool {
	if len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = bytes.TrimLeft(r.rest[1:], " \t\r\n")
	return true
}

// text reads a string without escapes.
func (r *plainReader) text() ([]byte, bool) {
	if len(r.rest) == 0 || r.rest[0] != '"' {
		return nil, false
	}
	for i, c := range r.rest[1:] {
		switch {
		case c == '"':
			text := r.rest[1 : i+1]
			r.rest = bytes.TrimLeft(r.rest[i+2:], " \t\r\n")
			return text, true
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			return nil, false
		}
	}
	return nil, false
}
