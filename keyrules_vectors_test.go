package parley_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type keyRulesVector struct {
	Setting struct {
		Underscoreize struct {
			IgnoreKeys               []string `json:"ignore_keys"`
			IgnoreFields             []string `json:"ignore_fields"`
			NoUnderscoreBeforeNumber bool     `json:"no_underscore_before_number"`
		} `json:"JSON_UNDERSCOREIZE"`
	} `json:"JSON_CAMEL_CASE"`
	Documents []struct {
		Doc      json.RawMessage `json:"doc"`
		Written  json.RawMessage `json:"camelize"`
		ReadBack json.RawMessage `json:"underscoreize"`
	} `json:"documents"`
}

func TestWithKeyRulesGoWritesAndReadsAsADjangoProjectWithExceptions(t *testing.T) {
	e := parley.NewEvent[any]("user", "k")
	compared := 0
	for _, v := range readVectors[keyRulesVector](t, "keyrules.json") {
		rules := parley.KeyRules(v.Setting.Underscoreize)
		var got []any
		cfg := &parley.ConsumerConfig{KeyRules: &rules, Concurrency: 1}
		onStage(t, cfg, func(s *stage) {
			parley.On(s.router, e, func(_ context.Context, e parley.Event[any]) error { got = append(got, e.Payload); return nil })
		}, func(s *stage) {
			for _, d := range v.Documents {
				compared++
				rec, err := e.Record(d.Doc, parley.WithKeyRules(rules))
				if err != nil {
					t.Fatal(err)
				}
				want := d.Written
				if bytes.Contains(d.Doc, []byte(`"raw_data"`)) && bytes.Contains(d.Doc, []byte(`"rawData"`)) && rec.Header(parley.HeaderDataKeys) == "verbatim" {
					want = d.Doc // one name on the wire would stand for two spellings
				}
				if diff := cmp.Diff(canonical(t, want), canonical(t, members(t, string(rec.Body))["payload"])); diff != "" {
					t.Errorf("%+v: %s is written (-Python +Go)\n%s", rules, d.Doc, diff)
				}
				s.publish(text(fmt.Sprintf(`{"eventId": %d, "payload": %s}`, compared, d.Doc)))
				s.wait(time.Second)
			}
		})
		for n, d := range v.Documents {
			read, err := json.Marshal(got[n])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(t, d.ReadBack), canonical(t, read)); diff != "" {
				t.Errorf("%+v: %s is read (-Python +Go)\n%s", rules, d.Doc, diff)
			}
		}
	}
	if compared < 20 {
		t.Errorf("compared only %d documents", compared)
	}
}

func TestAnOutboxWritesByItsKeyRules(t *testing.T) {
	rules := &parley.KeyRules{IgnoreKeys: []string{"user_id"}}
	recorded := recordedWith(t, &parley.OutboxConfig{KeyRules: rules})
	for kind, want := range map[parley.Kind]string{
		parley.KindEvent: `"payload": {"user_id":1}`, parley.KindCommand: `{"user_id":1, "meta"`, parley.KindCall: `"data": {"user_id":1}`,
	} {
		if body := string(recorded[kind]); !strings.Contains(body, want) {
			t.Errorf("%s: body %s, want %s in it", kind, body, want)
		}
	}
}

// recordedWith publishes an event, a command and a call through an outbox and returns their bodies.
func recordedWith(t *testing.T, cfg *parley.OutboxConfig) map[parley.Kind][]byte {
	t.Helper()
	store := memory.NewStore()
	out := must(parley.NewOutbox(store, cfg))
	payload := map[string]any{"user_id": 1}
	err := store.InTx(t.Context(), func(tx *memory.Tx) error {
		ctx, in := t.Context(), out.In(tx)
		_, err := parley.Publish(ctx, in, parley.NewEvent[map[string]any]("user", "k"), payload)
		_, err2 := parley.SendTx(ctx, in, parley.NewCommand[map[string]any]("user", "c"), payload)
		_, err3 := parley.Ask(ctx, in, parley.NewCall[map[string]any, any]("user", "m"), payload, parley.WithReplyTo("answers"))
		return errors.Join(err, err2, err3)
	})
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[parley.Kind][]byte{}
	for _, rec := range store.Pending() {
		bodies[rec.Kind] = rec.Body
	}
	return bodies
}
