package rabbitmq

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

func publishing(m *parley.Message, body []byte) amqp.Publishing {
	contentType := m.ContentType
	if contentType == "" {
		contentType = parley.ContentType
	}
	return amqp.Publishing{
		Headers:         table(m.Headers),
		ContentType:     contentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   m.CorrelationID,
		ReplyTo:         m.ReplyTo,
		MessageId:       m.ID,
		Timestamp:       m.Timestamp.Truncate(time.Second),
		Type:            string(m.Kind),
		AppId:           m.AppID,
		Priority:        m.Priority,
		Expiration:      expiration(m.Expiration),
		Body:            body,
	}
}

// expiration writes whole milliseconds, rounded up: zero would mean that a message never waits.
func expiration(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)
}

// readExpiration parses what the broker has validated. The shortest limit, "0", becomes 1 ms: in a Message, 0 means no limit.
func readExpiration(text string) time.Duration {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(max(ms, 1)) * time.Millisecond
}

// table copies headers to the types that the client library accepts.
func table(headers map[string]any) amqp.Table {
	if len(headers) == 0 {
		return nil
	}
	t := make(amqp.Table, len(headers))
	for name, value := range headers {
		t[name] = toAMQP(value)
	}
	return t
}

func toAMQP(value any) any {
	switch v := value.(type) {
	case map[string]any:
		t := make(amqp.Table, len(v)) // not table(v): an empty table must stay a table
		for name, value := range v {
			t[name] = toAMQP(value)
		}
		return t
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = toAMQP(v[i])
		}
		return out
	case []byte:
		return slices.Clone(v)
	case int:
		return int64(v) // the library would truncate it to 32 bits
	}
	return value
}

// fromAMQP converts headers to the types that parley.Message names.
func fromAMQP(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = fromAMQP(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fromAMQP(v[i])
		}
		return out
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	case amqp.Decimal:
		return float64(v.Value) / math.Pow10(int(v.Scale))
	}
	return value
}

func fromDelivery(d *amqp.Delivery) parley.Message {
	m := parley.Message{
		Exchange:        d.Exchange,
		RoutingKey:      d.RoutingKey,
		ID:              d.MessageId,
		Kind:            parley.Kind(d.Type),
		AppID:           d.AppId,
		CorrelationID:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		Timestamp:       d.Timestamp,
		Priority:        d.Priority,
		Expiration:      readExpiration(d.Expiration),
		UserID:          d.UserId,
		Body:            d.Body,
	}
	if len(d.Headers) > 0 {
		m.Headers, _ = fromAMQP(d.Headers).(map[string]any)
	}
	return m
}

// sizeLimit reads the broker's limit from its error about a large message.
func sizeLimit(reason string) (int, error) {
	const mark = "larger than configured max size "
	_, after, found := strings.Cut(reason, mark)
	if !found {
		return 0, errors.New("not about a message size")
	}
	return strconv.Atoi(after)
}
