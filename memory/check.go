package memory

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// shortString is the limit of AMQP's short strings, in bytes (AMQP 0-9-1, 4.2.5.3).
const shortString = 255

// check refuses a message that a real broker would answer by closing the channel or the connection.
func check(m *parley.Message, maxBody int) error {
	if len(m.Exchange) > shortString || len(m.RoutingKey) > shortString || len(m.ID) > shortString ||
		len(m.CorrelationID) > shortString || len(m.AppID) > shortString || len(m.ReplyTo) > shortString ||
		len(m.Kind) > shortString || len(m.ContentType) > shortString || len(m.ContentEncoding) > shortString {
		return refuse(m, tooLong(m))
	}
	if len(m.Body) > maxBody && m.Exchange != "" { // retry copies were accepted before
		return refuse(m, fmt.Sprintf("body has %d bytes, the limit is %d", len(m.Body), maxBody))
	}
	if m.Expiration > longestExpiration {
		return refuse(m, fmt.Sprintf("expiration %v is longer than RabbitMQ's limit of %v", m.Expiration, longestExpiration))
	}
	for _, name := range [...]string{"CC", "BCC"} {
		if value, ok := m.Headers[name]; ok && !isCopies(m, value) {
			return refuse(m, fmt.Sprintf("header %s must be a list of routing keys, and is not allowed on the default exchange", name))
		}
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

// longestExpiration is the limit of RabbitMQ.
const longestExpiration = math.MaxUint32 * time.Millisecond

// isCopies reports whether RabbitMQ would accept value as CC or BCC. This broker does not route by them.
func isCopies(m *parley.Message, value any) bool {
	keys, ok := value.([]any)
	for _, key := range keys {
		_, isText := key.(string)
		ok = ok && isText
	}
	return ok && m.Exchange != ""
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

// checkHeader returns what is wrong with a header's value, or "".
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

// isReply reports whether m answers a call. The exchange of a reply is chosen by the call and never
// declared. Replies of the Python library have no kind.
func isReply(m *parley.Message) bool {
	return m.Kind == parley.KindReply || m.Kind == "" && strings.HasPrefix(m.RoutingKey, "call-response.")
}

func reserved(name string) bool { return strings.HasPrefix(name, "amq.") }

// clone returns m as a broker delivers it: it shares nothing with m, and its times
// have the precision of the wire.
func clone(m *parley.Message) *parley.Message {
	c := *m
	c.Body = bytes.Clone(m.Body)
	c.Headers = cloneHeaders(m.Headers)
	c.UserID = ""
	c.Expiration = max(0, (c.Expiration + time.Millisecond - 1).Truncate(time.Millisecond))
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
