package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

const columns = "id, created_at, exchange, routing_key, kind, body, due_at, tags::text, properties::text"

// readStatement reads rows with these columns into out, while room accepts their bodies.
func readStatement(out *[]parley.Record, room func(body int) bool, q string, args ...any) statement {
	var row rowValues // reused for all rows
	full := false
	return statement{query: q, args: args, scan: func(s scanner) error {
		if full {
			return nil
		}
		*out = append(*out, parley.Record{})
		r := &(*out)[len(*out)-1]
		err := row.read(s, r)
		if full = !room(len(r.Body)); full {
			*out = (*out)[:len(*out)-1]
		}
		return err
	}}
}

// rowValues holds the columns of a row that are converted before they become part of a record. Consecutive rows
// share equal texts.
type rowValues struct {
	exchange, routingKey, kind, body, tags, properties rawText
	due                                                *time.Time
	lastExchange, lastKey                              string
}

func (v *rowValues) read(row scanner, r *parley.Record) error {
	err := row.Scan(&r.ID, &r.CreatedAt, &v.exchange, &v.routingKey, &v.kind, &v.body, &v.due, &v.tags, &v.properties)
	if err != nil {
		return err
	}
	v.lastExchange, v.lastKey = v.exchange.share(v.lastExchange), v.routingKey.share(v.lastKey)
	r.Exchange, r.RoutingKey, r.Kind = v.lastExchange, v.lastKey, v.kind.asKind()
	if v.tags != nil {
		if err := json.Unmarshal(v.tags, &r.Tags); err != nil {
			return fmt.Errorf("read tags of record %d: %w", r.ID, err)
		}
	}
	if v.due != nil {
		r.DueAt = *v.due
	}
	if r.Body = parley.FinishBody(r.Kind, r.ID, v.body); len(r.Body) == len(v.body) {
		r.Body = bytes.Clone(v.body) // it may belong to the driver
	}
	if err := sqlstore.DecodeProperties(v.properties, &r.Message); err != nil {
		return fmt.Errorf("record %d: %w", r.ID, err)
	}
	if r.Timestamp.IsZero() {
		r.Timestamp = r.CreatedAt
	}
	return nil
}

// A rawText is a column in memory of the driver: it is valid until the next row is read. Nil is NULL.
type rawText []byte

// ScanBytes implements pgtype.BytesScanner.
func (t *rawText) ScanBytes(v []byte) error { *t = v; return nil }

// Scan implements sql.Scanner.
func (t *rawText) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t = nil
	case []byte:
		*t = v
	case string:
		*t = []byte(v)
	default:
		return fmt.Errorf("a text column has the Go type %T", v)
	}
	return nil
}

// share returns the text, or last if it is equal.
func (t rawText) share(last string) string {
	if string(t) == last {
		return last
	}
	return string(t)
}

func (t rawText) asKind() parley.Kind {
	for _, kind := range [...]parley.Kind{parley.KindEvent, parley.KindCommand, parley.KindCall, parley.KindReply} {
		if string(t) == string(kind) {
			return kind
		}
	}
	return parley.Kind(t)
}
