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
