package rabbitmq

import (
	"fmt"
	"math"
	"time"

	"github.com/parley-go/parley"
)

// check refuses messages that would close the channel or even the connection, with everything in
// flight. It returns the size of the content header.
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
	// Messages to the default exchange are retry copies, which the broker has accepted before.
	if len(m.Body) > b.cfg.MaxBody && m.Exchange != "" {
		return 0, refuse(m, fmt.Sprintf("body has %d bytes, the limit is %d", len(m.Body), b.cfg.MaxBody))
	}
	if m.Expiration > longestExpiration {
		return 0, refuse(m, fmt.Sprintf("expiration %v is longer than RabbitMQ's limit of %v", m.Expiration, longestExpiration))
	}
	if m.Expiration > 0 {
		header += 1 + len(expiration(m.Expiration))
	}
	if m.Priority > 0 {
		header++
	}
	if problem := copiesProblem(m); problem != "" && !b.unchecked {
		return 0, refuse(m, problem)
	}
	size, err := tableSize(m.Headers, 0)
	if err != nil {
		return 0, refuse(m, err.Error())
	}
	return header + size, nil
}

// longestExpiration is RabbitMQ's limit of a message's expiration, 2^32-1 ms. RabbitMQ closes the channel for a larger one.
const longestExpiration = math.MaxUint32 * time.Millisecond

// copiesProblem returns what is wrong with the headers CC and BCC, or "". RabbitMQ also routes a message by each of their
// values. On the default exchange a value is the name of a queue, so each retry copy would be routed there too.
func copiesProblem(m *parley.Message) string {
	for _, name := range [...]string{"CC", "BCC"} {
		value, ok := m.Headers[name]
		if !ok {
			continue
		}
		if m.Exchange == "" {
			return fmt.Sprintf("header %s: on the default exchange it would send copies to other queues (leave it out)", name)
		}
		keys, ok := value.([]any)
		for _, key := range keys {
			_, isText := key.(string)
			ok = ok && isText
		}
		if !ok {
			return fmt.Sprintf("header %s must be a list of routing keys: RabbitMQ closes the channel for any other value", name)
		}
	}
	return ""
}

const (
	// brokerHeaders is the room left in a frame for headers that a broker may add to any message: x-delivery-count,
	// x-acquired-count and timestamp_in_ms.
	brokerHeaders = 128
	// deathHeaders is the room for the headers that dead-lettering adds (x-death, x-first-death-* and x-last-death-*),
	// without the name of the queue, which they contain deathNames times.
	deathHeaders = 448
	deathNames   = 4
)

// reserve returns how much of the frame a message's header must leave free. Messages to the default exchange are copies
// that pass through a retry queue, where the broker adds headers. Without room for them, the frame of the returning
// message would be too large. It would end the connection of each consumer that receives it, every time.
func reserve(m *parley.Message) int {
	if m.Exchange != "" {
		return brokerHeaders
	}
	return brokerHeaders + deathHeaders + deathNames*len(m.RoutingKey)
}

func refuse(m *parley.Message, reason string) error {
	return &parley.RefusedError{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Reason: reason}
}

const (
	// headerDepth is how deep headers may nest. Client libraries of other languages have limits as well.
	headerDepth = 16
	// headerItems is how many entries a table or a list may have. Consumers with this client library lose
	// their connection when they receive a message with more.
	headerItems = 8192
)

// tableSize returns the size of headers on the wire, or an error for values that AMQP cannot carry.
func tableSize(headers map[string]any, depth int) (int, error) {
	if len(headers) > headerItems {
		return 0, fmt.Errorf("a table has %d entries, the limit is %d", len(headers), headerItems)
	}
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
		if len(v) > headerItems {
			return 0, fmt.Errorf("a list has %d items, the limit is %d", len(v), headerItems)
		}
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
	return 0, fmt.Errorf("AMQP cannot carry a value of type %T", value)
}
