package parley_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// The files in testdata were recorded from the Python library: see docs/wire.md.
var pythonVersions = []string{"2.4.1", "2.6.8"}

type wireMessage struct {
	Exchange   string            `json:"exchange"`
	RoutingKey string            `json:"routing_key"`
	Properties map[string]any    `json:"properties"`
	Body       string            `json:"body"`
	BodyHex    *string           `json:"body_hex"`
	Summary    string            `json:"body_summary"`
	Headers    map[string]string `json:"headers"`
}

type wireVector struct {
	Case string `json:"case"`
	Call struct {
		Kind    string          `json:"kind"`
		Payload json.RawMessage `json:"payload"`
		Args    json.RawMessage `json:"arguments"`
		Data    json.RawMessage `json:"data"`
		Service string          `json:"service_name"`
		Command string          `json:"command_name"`
		Method  string          `json:"method_name"`
		ReplyTo string          `json:"reply_to"`
		Type    string          `json:"event_type"`
		Agg     string          `json:"aggregate"`
	} `json:"call"`
	Wire     *wireMessage `json:"wire"`
	WireCall *wireMessage `json:"wire_call"`
	Error    *struct{}    `json:"error"`
}

func readVectors[V any](t testing.TB, file string) []V {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Vectors []V `json:"vectors"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Vectors
}

// canonical decodes JSON so that equal documents are equal values: numbers by value, because
// jsonb rewrites 1e20 as 100000000000000000000.
func canonical(t *testing.T, text []byte) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("read %s: %v", text, err)
	}
	return byValue(v)
}

func byValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = byValue(v[k])
		}
	case []any:
		for i := range v {
			v[i] = byValue(v[i])
		}
	case json.Number:
		if r, ok := new(big.Rat).SetString(string(v)); ok {
			return r.RatString()
		}
	}
	return v
}

// plain reports whether a Python value is valid JSON.
func plain(value json.RawMessage) bool {
	return len(value) > 0 && !strings.Contains(string(value), `"$`)
}

// members returns the members of a JSON object.
func members(t *testing.T, body string) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("read %s: %v", body, err)
	}
	return m
}

// goRefuses are messages that Python sends and Go refuses to send, and parks on receipt: an argument
// that the library itself overwrites, U+0000, which no jsonb column can hold, and two keys of which the library loses one.
var goRefuses = map[string]bool{"command_meta_overwritten": true, "command_text": true, "event_keys_collision_reverse": true}

func TestGoWritesWhatPythonWrites(t *testing.T) {
	for _, version := range pythonVersions {
		n := 0
		for _, v := range readVectors[wireVector](t, "wire-"+version+".json") {
			rec, err, ok := recordOf(v)
			if !ok || v.Wire == nil {
				continue
			}
			n++
			t.Run(version+"/"+v.Case, func(t *testing.T) {
				if goRefuses[v.Case] {
					if !errors.Is(err, parley.ErrInvalid) {
						t.Errorf("got %v, want ErrInvalid", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if rec.Exchange != v.Wire.Exchange || rec.RoutingKey != v.Wire.RoutingKey {
					t.Errorf("address %q %q, want %q %q", rec.Exchange, rec.RoutingKey, v.Wire.Exchange, v.Wire.RoutingKey)
				}
				got := members(t, string(parley.FinishBody(rec.Kind, 1, rec.Body)))
				want := members(t, v.Wire.Body)
				for _, part := range []string{"payload", "data"} {
					if want[part] == nil {
						continue
					}
					if diff := cmp.Diff(canonical(t, want[part]), canonical(t, got[part])); diff != "" {
						t.Errorf("%s (-Python +Go)\n%s", part, diff)
					}
				}
				if rec.Kind == parley.KindCommand {
					delete(want, "meta")
					delete(got, "meta")
					wantText, _ := json.Marshal(want)
					gotText, _ := json.Marshal(got)
					if diff := cmp.Diff(canonical(t, wantText), canonical(t, gotText)); diff != "" {
						t.Errorf("arguments (-Python +Go)\n%s", diff)
					}
				}
			})
		}
		if n < 30 {
			t.Errorf("%s: %d vectors apply, want at least 30", version, n)
		}
	}
}

// recordOf makes in Go the message that a vector's call made in Python. ok is false for values that only
// Python has.
func recordOf(v wireVector) (rec parley.Record, err error, ok bool) {
	defer func() {
		if recover() != nil { // names that Go refuses when the program starts
			ok = false
		}
	}()
	switch v.Call.Kind {
	case "event", "future":
		if !plain(v.Call.Payload) {
			return rec, nil, false
		}
		rec, err = parley.NewEvent[json.RawMessage](v.Call.Agg, v.Call.Type).Record(v.Call.Payload)
	case "command":
		if !plain(v.Call.Args) {
			return rec, nil, false
		}
		rec, err = parley.NewCommand[json.RawMessage](v.Call.Service, v.Call.Command).Record(v.Call.Args)
	case "call":
		if !plain(v.Call.Data) || v.WireCall != nil {
			return rec, nil, false
		}
		rec, err = parley.NewCall[json.RawMessage, any](v.Call.Service, v.Call.Method).Record(v.Call.Data, parley.WithReplyTo(v.Call.ReplyTo))
	default:
		return rec, nil, false
	}
	return rec, err, true
}

func TestGoReadsWhatPythonWrites(t *testing.T) {
	for _, version := range pythonVersions {
		for _, v := range readVectors[wireVector](t, "wire-"+version+".json") {
			for _, m := range []*wireMessage{v.Wire, v.WireCall} {
				if m == nil || m.BodyHex != nil || m.Summary != "" || m.Body == "" || v.Case == "command_text" || strings.Contains(m.Body, "NaN") || strings.Contains(m.Body, "Infinity") {
					continue // not JSON: parked, see TestGoReadsWhatPythonReads
				}
				t.Run(version+"/"+v.Case, func(t *testing.T) { readPython(t, v.Call.Kind, m) })
			}
		}
	}
}

func readPython(t *testing.T, kind string, m *wireMessage) {
	t.Helper()
	want := members(t, m.Body)
	r := parley.NewRouter()
	var got any
	switch {
	case strings.HasPrefix(m.RoutingKey, "call-response."):
		parts := strings.SplitN(m.RoutingKey, ".", 3)
		parley.OnReply(r, parley.NewCall[any, any](parts[1], parts[2]), func(_ context.Context, reply parley.Reply[any]) error {
			if reply.ID == 0 || reply.Time.IsZero() || reply.Service != parts[1] || reply.Method != parts[2] {
				t.Errorf("reply %+v", reply)
			}
			got = reply.Data
			return nil
		})
	case kind == "call":
		in := must(parley.NewInbox(memory.NewStore(), &parley.InboxConfig{Consumer: "c"}))
		out := must(parley.NewOutbox(memory.NewStore(), nil))
		parley.OnCallOutsideTx(r, in, out, parley.NewCall[any, any](m.Exchange, m.RoutingKey), func(_ context.Context, c parley.Call[any]) (any, error) {
			if c.ID == 0 || c.Time.IsZero() {
				t.Errorf("call %+v", c)
			}
			got = c.Data
			return nil, parley.Park(errors.New("enough"))
		})
	case kind == "command":
		parley.OnCommand(r, parley.NewCommand[map[string]any](m.Exchange, m.RoutingKey), func(_ context.Context, c parley.Command[map[string]any]) error {
			got = c.Args
			return nil
		})
	default:
		parley.OnPattern(r, m.Exchange, "", func(_ context.Context, e parley.Event[any]) error {
			if e.ID == 0 || e.Time.IsZero() || e.Aggregate != m.Exchange || e.Type != m.RoutingKey {
				t.Errorf("event %d at %v, %q %q", e.ID, e.Time, e.Aggregate, e.Type)
			}
			got = e.Payload
			return nil
		})
	}
	d := parley.NewDelivery(parley.Message{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Body: []byte(m.Body)}, "q", false, nil)
	if err := r.Dispatch(t.Context(), d); err != nil && err.Error() != "enough" {
		t.Fatal(err)
	}
	if _, isNull := want["payload"]; isNull && string(want["payload"]) != "null" && got == nil && kind == "event" {
		t.Errorf("the payload was not read from %s", m.Body)
	}
}

type consumeVector struct {
	Case string `json:"case"`
	wireMessage
	Calls []struct {
		Handler string            `json:"handler"`
		Args    []json.RawMessage `json:"args"`
		Kwargs  map[string]any    `json:"kwargs"`
	} `json:"handler_calls"`
	Actions []string `json:"broker_actions"`
	Raises  any      `json:"on_message_raises"`
}

// goReadsBetter are valid deliveries that the Python library rejects indefinitely.
var goReadsBetter = map[string]bool{
	"command_meta_null": true, "command_plus5": true, "command_plus0": true, "command_9_digits": true, "command_space": true,
	"command_whole_second_expired": true, "command_whole_second": true, "call_whole_second": true, "call_plus5": true,
	"command_no_fraction": true, "command_meta_missing": true, "call_no_data": true,
}

func TestGoReadsWhatPythonReads(t *testing.T) {
	for _, version := range pythonVersions {
		n := 0
		for _, v := range readVectors[consumeVector](t, "consume-"+version+".json") {
			if v.Summary != "" || v.Exchange != "ev" && v.Exchange != "cmd" && v.Exchange != "resp" {
				continue
			}
			n++
			t.Run(version+"/"+v.Case, func(t *testing.T) { consumePython(t, v) })
		}
		if n < 15 {
			t.Errorf("%s: %d vectors apply, want at least 15", version, n)
		}
	}
}

func consumePython(t *testing.T, v consumeVector) {
	body := []byte(v.Body)
	if v.BodyHex != nil {
		body, _ = hex.DecodeString(*v.BodyHex)
	}
	var got any
	called := false
	r := parley.NewRouter()
	parley.OnPattern(r, "ev", "", func(_ context.Context, e parley.Event[any]) error {
		got, called = e.Payload, true
		return nil
	})
	parley.OnCommand(r, parley.NewCommand[map[string]any]("cmd", v.RoutingKey), func(_ context.Context, c parley.Command[map[string]any]) error {
		got, called = c.Args, true
		return nil
	})
	if parts := strings.SplitN(v.RoutingKey, ".", 3); len(parts) == 3 && v.Exchange == "resp" {
		parley.OnReply(r, parley.NewCall[any, any](parts[1], parts[2]), func(_ context.Context, reply parley.Reply[any]) error {
			got, called = reply.Data, true
			return nil
		})
	}
	d := parley.NewDelivery(parley.Message{Exchange: v.Exchange, RoutingKey: v.RoutingKey, Body: body}, "q", false, nil)
	err := r.Dispatch(t.Context(), d)
	rejected := len(v.Actions) == 1 && v.Actions[0] != "ack" || v.Raises != nil
	switch {
	case goReadsBetter[v.Case]:
		if err != nil {
			t.Errorf("%v, want it to be read", err)
		}
	case rejected && len(v.Calls) == 0:
		if err == nil {
			t.Errorf("Go accepts what Python rejects")
		}
	case len(v.Calls) == 0:
		if called {
			t.Errorf("the handler was called, with %v; Python drops it", got)
		}
	default:
		if err != nil || !called {
			t.Fatalf("called %v, %v", called, err)
		}
		if strings.Contains(string(body), "NaN") {
			return
		}
		want := v.Calls[0].Args[len(v.Calls[0].Args)-1]
		gotText, _ := json.Marshal(got)
		if diff := cmp.Diff(canonical(t, want), canonical(t, gotText)); diff != "" {
			t.Errorf("%s (-Python +Go)\n%s", v.Body, diff)
		}
	}
}

func TestTimesAreReadInEveryForm(t *testing.T) {
	want := time.Date(2023, 6, 2, 10, 58, 58, 0, time.UTC)
	for _, text := range []string{"2023-06-02T10:58:58Z", "2023-06-02T10:58:58", "2023-06-02T15:58:58+05:00", "2023-06-02T10:58:58.0Z", "2023-06-02 10:58:58.000000000Z", "2023-06-02T10:58:58.000+0000"} {
		var got time.Time
		r := parley.NewRouter()
		parley.OnPattern(r, "ev", "", func(_ context.Context, e parley.Event[any]) error { got = e.Time; return nil })
		body := fmt.Sprintf(`{"eventId": 1, "eventTime": %q, "payload": {}}`, text)
		err := r.Dispatch(t.Context(), parley.NewDelivery(parley.Message{Exchange: "ev", Body: []byte(body)}, "q", false, nil))
		if err != nil || !got.Equal(want) {
			t.Errorf("%s read as %v (%v)", text, got, err)
		}
	}
}
