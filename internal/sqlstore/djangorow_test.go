package sqlstore

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley"
)

func TestDjangoPropertiesHoldWhatAMessageHas(t *testing.T) {
	want := parley.Record{Message: parley.Message{ID: "m-1", CorrelationID: "c-1", Kind: parley.KindCommand, Headers: map[string]any{"a": "b"}}}
	text, err := encodeDjangoProperties(&want)
	if err != nil {
		t.Fatal(err)
	}
	var got parley.Record
	readDjangoProperties(text, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s was changed by writing and reading:\n%s", text, diff)
	}
}

// Python writes no kind, and Go can write none to a table without the column properties.
func TestTheKindOfADjangoRowIsReadFromItsBody(t *testing.T) {
	for _, c := range []struct {
		key, body string
		want      parley.Kind
	}{
		{"update.base", `{"eventId": 1, "payload": {"meta": {}}, "aggregate": "user", "event_time": "2023-06-02T10:58:58.340Z", "event_type": "update.base"}`, parley.KindEvent},
		{"update.base", `{"eventId": 1, "b": 2}`, parley.KindEvent},
		{"update.base", `{"eventId": 1, "payload": {}, "meta": {}}`, parley.KindEvent},
		{"update.base", `{"meta": "text"}`, parley.KindEvent},
		{"update.base", `{"meta": null}`, parley.KindEvent},
		{"update.base", `null`, parley.KindEvent},
		{"", `{"phone": "998", "meta": {}}`, parley.KindCommand},
		{"send", `{"meta": {"expiredTime": "2023-06-02T10:58:58.340Z"}}`, parley.KindCommand},
		{"send", `{"id": 7, "meta": {}}`, parley.KindCommand},
		{"send", `{"eventId": 7, "meta": {}}`, parley.KindCommand},
		{"quote", `{"id": 77, "data": {}, "meta": {"time": "2023-06-02T10:58:58.340Z", "replyTo": "shop"}}`, parley.KindCall},
		{"call-response.pricing.quote", `{"id": 77, "data": {}, "meta": {"time": "2023-06-02T10:58:58.340Z"}}`, parley.KindReply},
		{"call-expired.pricing.quote", `{"id": 77, "data": null, "meta": {"time": "2023-06-02T10:58:58.340Z"}}`, parley.KindReply},
	} {
		r := parley.Record{Message: parley.Message{RoutingKey: c.key}}
		(&DjangoRow{Body: &c.body, NewStyle: true}).Fill(&r)
		if r.Kind != c.want {
			t.Errorf("%q with the body %s is of kind %q, want %q", c.key, c.body, r.Kind, c.want)
		}
	}
}

// Columns may hold any JSON: one row must never block the others.
func FuzzDjangoRowsAreAlwaysFilled(f *testing.F) {
	f.Add(`{"a": "b"}`, `{"eventId": 1}`, `{"correlation_id": "c"}`, "rk", true)
	f.Add(`{"a": 1}`, `null`, `{"parley": 1, "kind": []}`, "call-response.x", true)
	f.Add(``, ``, `[]`, "agg", false)
	f.Fuzz(func(t *testing.T, tags, body, properties, aggregate string, newStyle bool) {
		d := DjangoRow{Tags: &tags, Body: &body, Properties: &properties, Aggregate: &aggregate, NewStyle: newStyle}
		r := parley.Record{ID: 7}
		d.Fill(&r)
		if r.Kind == "" && properties == "" {
			t.Error("a row has no kind")
		}
		if !newStyle && !json.Valid(r.Body) {
			t.Errorf("the body of an old row is not JSON: %s", r.Body)
		}
	})
}
