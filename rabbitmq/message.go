package rabbitmq

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// check refuses what would end the channel or even the connection, with everything in
// flight. It returns how long the content header will be.
func (b *Broker) check(m *parley.Message) (header int, err error) {
	header = 14 + 1 + 8 // class, weight, size and flags; delivery mode; timestamp
	for _, f := range [...]struct{ what, text string }{
		{"exchange", m.Exchange}, {"routing key", m.RoutingKey}, {"message id", m.ID},
		{"correlation id", m.CorrelationID}, {"app id", m.AppID}, {"reply-to", m.ReplyTo}, {"kind", string(m.Kind)},
		{"content type", m.ContentType}, {"content encoding", m.ContentEncoding},
	} {
		if len(f.text) > 255 {
			return 0, refuse(m, fmt.Sprintf("%s has %d bytes, AMQP allows 255", f.what, len(f.text)))
		}
		header += 1 + len(f.text)
	}
	// The default exchange gets the retry copies of what the broker has taken before.
	if len(m.Body) > b.cfg.MaxBody && m.Exchange != "" {
		return 0, refuse(m, fmt.Sprintf("body has %d bytes, the limit is %d", len(m.Body), b.cfg.MaxBody))
	}
	size, err := tableSize(m.Headers, 0)
	if err != nil {
		return 0, refuse(m, err.Error())
	}
	return header + size, nil
}

func refuse(m *parley.Message, reason string) error {
	return &parley.RefusedError{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Reason: reason}
}

// headerDepth is how deep headers may nest; the readers of other languages have limits as well.
const headerDepth = 16

// tableSize returns the size of headers on the wire, or what AMQP cannot carry in them.
func tableSize(headers map[string]any, depth int) (int, error) {
	size := 4
	for name, value := range headers {
		if len(name) > 255 {
			return 0, fmt.Errorf("header %.40q…: its name has %d bytes, AMQP allows 255", name, len(name))
		}
		n, err := fieldSize(value, depth)
		if err != nil {
			return 0, fmt.Errorf("header %q: %w", name, err)
		}
		size += 1 + len(name) + n
	}
	return size, nil
}

func fieldSize(value any, depth int) (int, error) {
	if depth > headerDepth {
		return 0, fmt.Errorf("nested deeper than %d", headerDepth)
	}
	switch v := value.(type) {
	case nil:
		return 1, nil
	case bool:
		return 2, nil
	case string:
		return 5 + len(v), nil
	case []byte:
		return 5 + len(v), nil
	case int, int8, int16, int32, int64, uint8, uint16, uint32, float32, float64, time.Time:
		return 9, nil
	case map[string]any:
		n, err := tableSize(v, depth+1)
		return 1 + n, err
	case []any:
		size := 5
		for i := range v {
			n, err := fieldSize(v[i], depth+1)
			if err != nil {
				return 0, fmt.Errorf("item %d: %w", i, err)
			}
			size += n
		}
		return size, nil
	}
	return 0, fmt.Errorf("a value of type %T has no form in AMQP", value)
}

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
		Body:            body,
	}
}

// table copies headers to what the client library takes.
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
		t := make(amqp.Table, len(v)) // not table: an empty one is not nothing
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
		return int64(v) // the library would cut it to 32 bits
	}
	return value
}

// fromAMQP gives headers the types that parley.Message names.
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
		Body:            d.Body,
	}
	if len(d.Headers) > 0 {
		m.Headers, _ = fromAMQP(d.Headers).(map[string]any)
	}
	return m
}

// sizeLimit reads the broker's limit from its complaint about a large message.
func sizeLimit(reason string) (int, error) {
	const mark = "larger than configured max size "
	_, after, found := strings.Cut(reason, mark)
	if !found {
		return 0, errors.New("not about a size")
	}
	return strconv.Atoi(after)
}
