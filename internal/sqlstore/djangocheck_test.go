package sqlstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestOnlyWhatATableOfDjangoWouldLoseIsRefused(t *testing.T) {
	event := func(change func(r *parley.Record)) parley.Record {
		r := parley.Record{Message: parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, Body: []byte(`{"payload": {}}`)}}
		change(&r)
		return r
	}
	for _, c := range []struct {
		lost   string // by a table without the column properties; "" if it keeps the record
		change func(r *parley.Record)
	}{
		{"", func(*parley.Record) {}},
		{"", func(r *parley.Record) { r.Message.ID, r.CorrelationID, r.Timestamp = "m", "c", time.Now() }},
		{"", func(r *parley.Record) {
			r.SetHeader(parley.HeaderTraceParent, "t")
			r.SetHeader(parley.HeaderDataKeys, "verbatim")
		}},
		{"", func(r *parley.Record) { r.ContentType = parley.ContentType }},
		{"", func(r *parley.Record) { r.Exchange = strings.Repeat("é", 64) }},
		{`header "tenant"`, func(r *parley.Record) { r.SetHeader("tenant", "a") }},
		{`header "parley-key"`, func(r *parley.Record) { r.SetHeader(parley.HeaderKey, "a") }},
		{`reply-to "q"`, func(r *parley.Record) { r.ReplyTo = "q" }},
		{`content type "text/plain"`, func(r *parley.Record) { r.ContentType = "text/plain" }},
		{`content encoding "gzip"`, func(r *parley.Record) { r.ContentEncoding = "gzip" }},
		{`priority "3"`, func(r *parley.Record) { r.Priority = 3 }},
		{`expiration "1m0s"`, func(r *parley.Record) { r.Expiration = time.Minute }},
		{`kind "command"`, func(r *parley.Record) { r.Kind = parley.KindCommand }},
	} {
		records := []parley.Record{event(func(*parley.Record) {}), event(c.change)}
		if err := CheckDjango(map[string]bool{"properties": true}, records); err != nil {
			t.Errorf("%s: %v, although the table has the column", c.lost, err)
		}
		err := CheckDjango(map[string]bool{}, records)
		if c.lost == "" && err != nil || c.lost != "" && (!errors.Is(err, parley.ErrInvalid) || !strings.Contains(err.Error(), c.lost)) {
			t.Errorf("got %v, want an error that names %q", err, c.lost)
		}
	}
	long := []parley.Record{event(func(r *parley.Record) { r.Exchange = strings.Repeat("é", 65) })}
	if err := CheckDjango(map[string]bool{"properties": true}, long); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("an exchange of 65 characters: %v, want ErrInvalid", err)
	}
}
