package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// properties are what a row keeps of a message beside its own columns.
type properties struct {
	MessageID       string            `json:"message_id,omitempty"`
	CorrelationID   string            `json:"correlation_id,omitempty"`
	AppID           string            `json:"app_id,omitempty"`
	ReplyTo         string            `json:"reply_to,omitempty"`
	ContentType     string            `json:"content_type,omitempty"`
	ContentEncoding string            `json:"content_encoding,omitempty"`
	Timestamp       *time.Time        `json:"timestamp,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"`
}

// EncodeProperties returns what a row keeps of a message beside its own columns, as JSON. Headers
// that are no strings are a *parley.InvalidError.
func EncodeProperties(m *parley.Message) (string, error) {
	p := properties{
		MessageID: m.ID, CorrelationID: m.CorrelationID, AppID: m.AppID, ReplyTo: m.ReplyTo,
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding,
	}
	if !m.Timestamp.IsZero() {
		p.Timestamp = &m.Timestamp
	}
	for name, value := range m.Headers {
		text, ok := value.(string)
		if !ok {
			return "", &parley.InvalidError{What: "header", Value: name, Problem: fmt.Sprintf("is a %T: an outbox holds strings only", value)}
		}
		if p.Headers == nil {
			p.Headers = map[string]string{}
		}
		p.Headers[name] = text
	}
	text, err := json.Marshal(p)
	return string(text), err
}

// DecodeProperties reads what EncodeProperties wrote into m.
func DecodeProperties(text string, m *parley.Message) error {
	var p properties
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return fmt.Errorf("read properties: %w", err)
	}
	m.ID, m.CorrelationID, m.AppID, m.ReplyTo = p.MessageID, p.CorrelationID, p.AppID, p.ReplyTo
	m.ContentType, m.ContentEncoding = p.ContentType, p.ContentEncoding
	if p.Timestamp != nil {
		m.Timestamp = *p.Timestamp
	}
	for name, value := range p.Headers {
		m.SetHeader(name, value)
	}
	return nil
}

// EncodeTags returns tags as JSON, nil for none.
func EncodeTags(tags map[string]string) (any, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// columns are what scanRecord reads, of the outbox as o.
func (d *Dialect) columns() string {
	return "o.id, " + d.Micros("o.created_at") + ", o.exchange, o.routing_key, o.kind, o.body, " + d.Micros("o.due_at") + ", o.tags, o.properties"
}

// records reads what query finds.
func (e *Engine[T]) records(ctx context.Context, q queryer, query string, args []any) ([]parley.Record, error) {
	var out []parley.Record
	err := Each(ctx, q, query, args, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		out = append(out, r)
		return err
	})
	return out, err
}

func scanRecord(rows *sql.Rows) (parley.Record, error) {
	var r parley.Record
	var created int64
	var due sql.NullInt64
	var kind, body, props string
	var tags sql.NullString
	if err := rows.Scan(&r.ID, &created, &r.Exchange, &r.RoutingKey, &kind, &body, &due, &tags, &props); err != nil {
		return r, err
	}
	if tags.Valid {
		if err := json.Unmarshal([]byte(tags.String), &r.Tags); err != nil {
			return r, fmt.Errorf("read tags of record %d: %w", r.ID, err)
		}
	}
	if due.Valid {
		r.DueAt = time.UnixMicro(due.Int64).UTC()
	}
	r.CreatedAt = time.UnixMicro(created).UTC()
	r.Kind = parley.Kind(kind)
	r.Body = parley.FinishBody(r.Kind, r.ID, []byte(body))
	if err := DecodeProperties(props, &r.Message); err != nil {
		return r, fmt.Errorf("record %d: %w", r.ID, err)
	}
	if r.Timestamp.IsZero() {
		r.Timestamp = r.CreatedAt
	}
	return r, nil
}
