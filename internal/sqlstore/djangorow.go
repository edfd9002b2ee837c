package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// A DjangoRow holds the columns of a row of Django's table from which its message is built,
// for both styles. Columns that are NULL, or missing in the table's version, are nil.
type DjangoRow struct {
	// Due is the earlier one of the two times; EventTime is event_time, or else send_after_time.
	Due, EventTime                *time.Time
	Tags, Body, Properties        *string
	Aggregate, EventType, Payload *string
	NewStyle                      bool
}

// Fill completes a record, which has its ID, exchange and routing key, as the Python relay
// would publish it. It accepts every row: a row that was written by hand must
// not block the others.
func (d *DjangoRow) Fill(r *parley.Record) {
	if d.Due != nil {
		r.DueAt = *d.Due
	}
	if d.Tags != nil {
		r.Tags = readTags(*d.Tags)
	}
	if !d.NewStyle {
		r.Kind, r.Body = parley.KindEvent, d.oldBody(r.ID)
		return
	}
	r.Body = []byte("null")
	if d.Body != nil {
		r.Body = []byte(*d.Body)
	}
	r.Kind = kindOf(r.RoutingKey, r.Body)
	if d.Properties != nil {
		readDjangoProperties(*d.Properties, r)
	}
}

// readTags returns the tags that are strings. Both libraries write only strings.
func readTags(text string) map[string]string {
	var all map[string]any
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	tags := make(map[string]string, len(all))
	for name, value := range all {
		if s, ok := value.(string); ok {
			tags[name] = s
		}
	}
	return tags
}

// djangoProperties is the content of the column: the correlation id where the Python relay
// reads it, and all other properties where only parley reads them.
type djangoProperties struct {
	CorrelationID any             `json:"correlation_id"`
	Parley        json.RawMessage `json:"parley,omitempty"`
	Kind          parley.Kind     `json:"kind,omitempty"`
}

// readDjangoProperties ignores values that are not objects, as the Python relay does.
func readDjangoProperties(text string, r *parley.Record) {
	var p djangoProperties
	if json.Unmarshal([]byte(text), &p) != nil {
		return
	}
	r.CorrelationID, _ = p.CorrelationID.(string)
	if len(p.Parley) == 0 {
		return
	}
	m := r.Message
	if DecodeProperties(p.Parley, &m) == nil {
		r.Message, r.Kind = m, p.Kind
	}
}

func encodeDjangoProperties(r *parley.Record) (string, error) {
	props, err := EncodeProperties(&r.Message)
	if err != nil {
		return "", err
	}
	p := djangoProperties{Parley: json.RawMessage(props), Kind: r.Kind}
	if r.CorrelationID != "" {
		p.CorrelationID = r.CorrelationID
	}
	text, err := json.Marshal(p)
	return string(text), err
}

// oldBody builds the body of a row of version 2.4 from its columns.
func (d *DjangoRow) oldBody(id int64) []byte {
	when := ""
	if d.EventTime != nil {
		layout := "2006-01-02T15:04:05.000000-07:00"
		if d.EventTime.Nanosecond() == 0 {
			layout = "2006-01-02T15:04:05-07:00" // like Python's isoformat
		}
		when = d.EventTime.UTC().Format(layout)
	}
	payload := "null"
	if d.Payload != nil {
		payload = *d.Payload
	}
	return fmt.Appendf(nil, `{"eventId": %d, "eventTime": %s, "eventType": %s, "aggregate": %s, "payload": %s}`,
		id, quoted(&when), quoted(d.EventType), quoted(d.Aggregate), payload)
}

func quoted(s *string) []byte {
	text, _ := json.Marshal(s) // encoding a string cannot fail
	return text
}

// kindOf distinguishes the kinds of messages by their form, where the row does not name the kind. Only commands, calls and replies
// have a member meta beside the others; the calls name an exchange for the reply in it.
func kindOf(routingKey string, body []byte) parley.Kind {
	if strings.HasPrefix(routingKey, "call-response.") || strings.HasPrefix(routingKey, "call-expired.") {
		return parley.KindReply
	}
	var m struct {
		ID      json.RawMessage `json:"id"`
		EventID json.RawMessage `json:"eventId"`
		Payload json.RawMessage `json:"payload"`
		Meta    *struct {
			ReplyTo string `json:"replyTo"`
		} `json:"meta"`
	}
	switch {
	case json.Unmarshal(body, &m) != nil || m.Meta == nil || m.EventID != nil && m.Payload != nil:
		return parley.KindEvent
	case m.ID != nil && m.Meta.ReplyTo != "":
		return parley.KindCall
	}
	return parley.KindCommand
}
