package parley

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// MaxBody is the default limit for the body of a message, in bytes: 8 MiB.
const MaxBody = 8 << 20

// maxName is the limit of AMQP's short strings, in bytes (AMQP 0-9-1, 4.2.5.3).
const maxName = 255

// limits bound the JSON that is read from the network.
var limits = jsonkeys.Limits{MaxBytes: MaxBody, MaxDepth: 200, MaxKeys: 100_000}

// payloadLimits bound the payloads that are published. The wrapper around a payload needs one level and a few keys of its own.
var payloadLimits = jsonkeys.Limits{MaxBytes: MaxBody, MaxDepth: limits.MaxDepth - 1, MaxKeys: limits.MaxKeys - 10}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// A codec converts values of one Go type to JSON for the wire, and back. Fields are
// matched by name, ignoring case and underscores, so a struct may use
// snake_case tags, camelCase tags or none.
type codec struct {
	typ   reflect.Type
	shape *jsonkeys.Shape
	raw   bool // json.RawMessage: passed on unchanged
	any   bool // has untyped parts: numbers must not become float64

	verbatim bool // of a contract with Verbatim: the JSON is not touched
}

var codecs sync.Map // reflect.Type -> *codec

func codecOf(t reflect.Type) *codec {
	if c, ok := codecs.Load(t); ok {
		return c.(*codec)
	}
	c := &codec{
		typ:   t,
		shape: jsonkeys.ShapeOf(t),
		raw:   t == reflect.TypeFor[json.RawMessage](),
		any:   jsonkeys.HoldsAny(t),
	}
	codecs.Store(t, c)
	return c
}

// asIs returns the codec of a contract with Verbatim.
func (c *codec) asIs() *codec {
	clone := *c
	clone.verbatim = true
	return &clone
}

// encode appends what v points to as JSON with its keys on the wire. It notes in o what the reader needs to know about them.
func (c *codec) encode(dst []byte, v any, o *messageOptions) ([]byte, error) {
	if c.any && !c.verbatim {
		with, _, err := wireTimes(reflect.ValueOf(v), 0)
		if err != nil {
			return nil, unsendable(err)
		}
		v = with.Interface()
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, &InvalidError{What: "payload", Problem: fmt.Sprintf("type %v cannot be encoded as JSON", c.typ), Err: err}
	}
	text := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if bytes.Contains(text, []byte(replacement)) {
		if s := brokenText(reflect.ValueOf(v)); s != "" {
			return nil, &InvalidError{What: "payload", Value: s, Problem: "has text that is not UTF-8: encode it, in base64 for example"}
		}
	}
	if c.verbatim {
		if err := jsonkeys.Valid(text, payloadLimits); err != nil {
			return nil, &InvalidError{What: "payload", Problem: "must not be sent", Err: err}
		}
		o.dataKeys = jsonkeys.Verbatim
		return append(dst, text...), nil
	}
	out, names, err := c.shape.Encode(dst, text, o.keyRules.options(), payloadLimits)
	if err != nil {
		return nil, unsendable(err)
	}
	o.dataKeys = names.String()
	return out, nil
}

// unsendable returns the error for a payload that is JSON but must not be sent.
func unsendable(err error) error {
	problem := "must not be sent"
	if _, ok := errors.AsType[*jsonkeys.CollisionError](err); ok {
		problem = "would lose a value (rename a key, or declare the contract with Verbatim)"
	}
	return &InvalidError{What: "payload", Problem: problem, Err: err}
}

// decode decodes src, the payload of d, into v, a pointer to the codec's type.
func (c *codec) decode(src []byte, v any, d *Delivery) error {
	names, err := jsonkeys.ParseNames(d.Header(HeaderDataKeys))
	if err != nil {
		return &MalformedError{Part: "header " + HeaderDataKeys, Err: err}
	}
	if c.raw && (names == nil || c.verbatim) {
		*v.(*json.RawMessage) = bytes.Clone(src)
		return nil
	}
	if c.verbatim {
		if err := jsonkeys.Valid(src, limits); err != nil {
			return err
		}
		return c.unmarshal(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")), v)
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	text, err := c.shape.Decode(buf.AvailableBuffer(), src, d.keyRules.options(), names, limits)
	if err != nil {
		return err
	}
	buf.Write(text) // keeps the grown buffer for the next call
	return c.unmarshal(text, v)
}

func (c *codec) unmarshal(text []byte, v any) error {
	if !c.any {
		return json.Unmarshal(text, v)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // keeps big integers exact
	return dec.Decode(v)
}

// A MalformedError says why a received body cannot be decoded. Such a delivery is
// never retried: it is parked at once.
type MalformedError struct {
	// Part names the malformed part: "body", "payload", "eventTime".
	Part string
	Err  error
}

func (e *MalformedError) Error() string { return "malformed " + e.Part + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *MalformedError) Unwrap() error { return e.Err }

// eventFields are the members of the wrapper of an event, as any version writes it.
type eventFields struct {
	id        int64
	time      time.Time
	eventType string
	aggregate string
	payload   []byte
}

// readEvent decodes the wrapper of an event. Keys may be in either case; the later
// of two wins, as in Python.
func readEvent(body []byte) (eventFields, error) {
	f := eventFields{payload: []byte("null")}
	err := jsonkeys.Members(body, limits, func(key string, value []byte) error {
		switch memberName(key) {
		case "event_id":
			f.id = readID(value)
		case "event_time":
			return readTime(value, &f.time)
		case "event_type":
			return readString(value, &f.eventType)
		case "aggregate":
			return readString(value, &f.aggregate)
		case "payload":
			f.payload = value
		}
		return nil
	})
	if err == nil {
		return f, nil
	}
	if m, ok := errors.AsType[*MalformedError](err); ok {
		return f, m
	}
	return f, &MalformedError{Part: "body", Err: err}
}

// memberName returns the snake_case form of a wrapper key; usual spellings need no allocation.
func memberName(key string) string {
	switch key {
	case "eventId":
		return "event_id"
	case "eventTime":
		return "event_time"
	case "eventType":
		return "event_type"
	case "aggregate", "payload", "event_id", "event_time", "event_type", "id", "data", "meta":
		return key
	}
	return jsonkeys.UnderscoreizeKey(key, false)
}

// readID reads a number, or a string that holds one. Any other id is 0: ids of other
// publishers may have any form, and the handler still has the body.
func readID(value []byte) int64 {
	id, err := strconv.ParseInt(string(bytes.Trim(value, `"`)), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func readTime(value []byte, t *time.Time) error {
	var s string
	if err := readString(value, &s); err != nil || s == "" {
		*t = time.Time{}
		return err
	}
	parsed, err := parseTime(s)
	if err != nil {
		return &MalformedError{Part: "time", Err: err}
	}
	*t = parsed
	return nil
}

// readString reads a string; null is "".
func readString(value []byte, s *string) error {
	if string(value) == "null" {
		*s = ""
		return nil
	}
	if n := len(value) - 1; n > 0 && value[0] == '"' && value[n] == '"' && bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) {
		*s = string(value[1:n]) // most strings have no escapes; Members has checked the syntax
		return nil
	}
	if err := json.Unmarshal(value, s); err != nil {
		return &MalformedError{Part: "text", Err: err}
	}
	return nil
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	buf := new(bytes.Buffer)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // every string can be encoded
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// checkName rejects names that AMQP or RabbitMQ does not allow, before they reach a
// table or a socket: a routing key of 256 bytes would close the whole connection.
func checkName(what, name string) error {
	switch {
	case len(name) > maxName:
		return &InvalidError{What: what, Value: name, Problem: fmt.Sprintf("has %d bytes, AMQP allows %d", len(name), maxName)}
	case !utf8.ValidString(name):
		return &InvalidError{What: what, Value: name, Problem: "must be valid UTF-8"}
	case strings.IndexByte(name, 0) >= 0:
		return &InvalidError{What: what, Value: name, Problem: "must not contain U+0000"}
	}
	return nil
}

// checkExchange rejects exchange names that would publish directly to a queue or to an
// exchange of the broker's own.
func checkExchange(name string) error {
	if name == "" {
		return &InvalidError{What: "exchange", Problem: "must not be empty: the default exchange would publish directly to a queue"}
	}
	if len(name) >= 4 && name[:4] == "amq." {
		return &InvalidError{What: "exchange", Value: name, Problem: "names that start with amq. are reserved by the broker: choose another"}
	}
	return checkName("exchange", name)
}
