package memory

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// shortString is the limit of AMQP's short strings, in bytes (AMQP 0-9-1, 4.2.5.3).
const shortString = 255

// check refuses what a real broker would answer by closing the channel or the connection.
func check(m *parley.Message, maxBody int) error {
	if len(m.Exchange) > shortString || len(m.RoutingKey) > shortString || len(m.ID) > shortString ||
		len(m.CorrelationID) > shortString || len(m.AppID) > shortString || len(m.ReplyTo) > shortString ||
		len(m.Kind) > shortString || len(m.ContentType) > shortString || len(m.ContentEncoding) > shortString {
		return refuse(m, tooLong(m))
	}
	if len(m.Body) > maxBody && m.Exchange != "" { // retry copies have been taken before
		return refuse(m, fmt.Sprintf("body has %d bytes, the limit is %d", len(m.Body), maxBody))
	}
	for name, value := range m.Headers {
		if len(name) > shortString {
			return refuse(m, fmt.Sprintf("header name has %d bytes, AMQP allows %d", len(name), shortString))
		}
		if problem := checkHeader(value); problem != "" {
			return refuse(m, fmt.Sprintf("header %q: %s", name, problem))
		}
	}
	return nil
}

func tooLong(m *parley.Message) string {
	for _, field := range [...]struct{ what, text string }{
		{"exchange", m.Exchange}, {"routing key", m.RoutingKey}, {"message id", m.ID},
		{"correlation id", m.CorrelationID}, {"app id", m.AppID}, {"reply-to", m.ReplyTo},
		{"kind", string(m.Kind)}, {"content type", m.ContentType}, {"content encoding", m.ContentEncoding},
	} {
		if len(field.text) > shortString {
			return fmt.Sprintf("%s has %d bytes, AMQP allows %d", field.what, len(field.text), shortString)
		}
	}
	return "a name is too long"
}

// checkHeader says what is wrong with a header's value, or "".
func checkHeader(value any) string {
	switch v := value.(type) {
	case nil, bool, string, []byte, int64, float64, time.Time:
		return ""
	case []any:
		for _, item := range v {
			if problem := checkHeader(item); problem != "" {
				return problem
			}
		}
		return ""
	case map[string]any:
		for name, item := range v {
			if len(name) > shortString {
				return fmt.Sprintf("a name within it has %d bytes, AMQP allows %d", len(name), shortString)
			}
			if problem := checkHeader(item); problem != "" {
				return problem
			}
		}
		return ""
	}
	return fmt.Sprintf("a %T cannot travel as an AMQP header", value)
}

func refuse(m *parley.Message, reason string) error {
	return &parley.RefusedError{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Reason: reason}
}

func reserved(name string) bool { return strings.HasPrefix(name, "amq.") }

// clone returns m as it is after it has travelled: nothing shared with m, times
// with the precision that the wire has.
func clone(m *parley.Message) *parley.Message {
	c := *m
	c.Body = bytes.Clone(m.Body)
	c.Headers = cloneHeaders(m.Headers)
	if c.ContentType == "" {
		c.ContentType = parley.ContentType
	}
	if !c.Timestamp.IsZero() {
		c.Timestamp = c.Timestamp.UTC().Truncate(time.Second)
	}
	return &c
}

func cloneHeaders(headers map[string]any) map[string]any {
	if headers == nil {
		return nil
	}
	c := make(map[string]any, len(headers))
	for name, value := range headers {
		c[name] = cloneHeader(value)
	}
	return c
}

func cloneHeader(value any) any {
	switch v := value.(type) {
	case []byte:
		return bytes.Clone(v)
	case time.Time:
		return v.UTC().Truncate(time.Second)
	case []any:
		c := make([]any, len(v))
		for i, item := range v {
			c[i] = cloneHeader(item)
		}
		return c
	case map[string]any:
		return cloneHeaders(v)
	}
	return value
}
