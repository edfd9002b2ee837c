package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// ownJSON encodes and decodes itself.
type ownJSON struct{ text string }

func (o ownJSON) MarshalJSON() ([]byte, error)  { return []byte(o.text), nil }
func (o *ownJSON) UnmarshalJSON(b []byte) error { o.text = string(b); return nil }

// readsJSON only decodes itself: by encoding/json, as types that set defaults or check values do.
type readsJSON struct {
	UnitPrice int `json:"unitPrice"`
	UserID    string
	SHA       string        `json:"sha256"`
	Wait      time.Duration `json:"wait_time"`
	At        time.Time     `json:"at"`
	Inner     struct {
		OrderID int
		Data    map[string]int `json:"data"`
	} `json:"inner_part"`
}

func (r *readsJSON) UnmarshalJSON(b []byte) error {
	type plain readsJSON
	return json.Unmarshal(b, (*plain)(r))
}

func sampleReads() readsJSON {
	r := readsJSON{UnitPrice: 5, UserID: "u", SHA: "s", Wait: 1500 * time.Millisecond, At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	r.Inner.OrderID, r.Inner.Data = 9, map[string]int{"EUR": 1, "user_id": 2}
	return r
}

type withData struct {
	OrderID int64           `json:"order_id"`
	Counts  map[string]int  `json:"counts"`
	Any     map[string]any  `json:"any_value"`
	Raw     json.RawMessage `json:"raw_value"`
	Own     ownJSON         `json:"own_json"`
}

func sampleData() withData {
	return withData{
		OrderID: 7,
		Counts:  map[string]int{"9e3f4a89-11aa-4bbb-8ccc-0123456789ab": 1, "EUR": 2, "SKU_12": 3, "sku12": 4},
		Any:     map[string]any{"user_id": "x", "sha256": map[string]any{"a_b_c": true}},
		Raw:     json.RawMessage(`{"in_raw":1,"inRaw2":[{"_x":null}]}`),
		Own:     ownJSON{`{"HTTPServer":{"x86_64":"y_z"}}`},
	}
}

// dispatched returns the delivery of a record.
func dispatched(rec parley.Record) *parley.Delivery {
	m := rec.Message
	m.Body = parley.FinishBody(m.Kind, 1, m.Body)
	return parley.NewDelivery(m, "q", false, nil)
}

// receiveEvent publishes v as an event and returns what a handler of R gets.
func receiveEvent[T, R any](t *testing.T, v T) (got R) {
	t.Helper()
	rec, err := parley.NewEvent[T]("order", "paid").Record(v)
	if err != nil {
		t.Fatal(err)
	}
	r := parley.NewRouter()
	parley.On(r, parley.NewEvent[R]("order", "paid"), func(_ context.Context, e parley.Event[R]) error {
		got = e.Payload
		return nil
	})
	if err := r.Dispatch(t.Context(), dispatched(rec)); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestNothingChangesInAPayloadBetweenTwoServices(t *testing.T) {
	want := sampleData()
	if got := receiveEvent[withData, withData](t, want); !reflect.DeepEqual(got, want) {
		t.Errorf("typed\n got %+v\nwant %+v", got, want)
	}
	data := map[string]any{"userId": "1", "user_name": "2", "SKU_12": []any{map[string]any{"k1": "v"}}}
	if got := receiveEvent[map[string]any, map[string]any](t, data); !reflect.DeepEqual(got, data) {
		t.Errorf("map: got %v, want %v", got, data)
	}
	raw := json.RawMessage(`{"user_id":1,"userName":2,"EUR":{"_a":1.10}}`)
	if got := receiveEvent[json.RawMessage, json.RawMessage](t, raw); string(got) != string(raw) {
		t.Errorf("raw: got %s, want %s", got, raw)
	}
	if got := receiveEvent[map[int64]string, map[int64]string](t, map[int64]string{12: "x"}); got[12] != "x" {
		t.Errorf("map with numbers: got %v", got)
	}
}

func TestATypeThatReadsItsOwnJSONGetsTheNamesThatEncodingJSONWrote(t *testing.T) {
	want := sampleReads()
	if got := receiveEvent[readsJSON, readsJSON](t, want); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// Another spelling of the same name beside it: the keys of the data stay as they are.
	type both struct {
		UnitPrice int       `json:"unit_price"`
		Item      readsJSON `json:"item"`
	}
	if got := receiveEvent[both, both](t, both{7, want}); !reflect.DeepEqual(got, both{7, want}) {
		t.Errorf("got %+v, want %+v", got, both{7, want})
	}
	got := receiveEvent[both, map[string]any](t, both{7, want})
	if item, ok := got["item"].(map[string]any); !ok || item["unitPrice"] != json.Number("5") || item["UserID"] != "u" {
		t.Errorf("an untyped reader gets %v", got)
	}
	type plain struct{ UnitPrice int }
	if got := receiveEvent[readsJSON, plain](t, want); got.UnitPrice != 5 {
		t.Errorf("a plain struct gets %+v", got)
	}
}

func TestKeysBelowKeepAreUnchangedForEveryReader(t *testing.T) {
	type publisher struct {
		Attrs map[string]int `json:"attrs" wire:",keep"`
		Other map[string]int `json:"other"`
	}
	type reader struct {
		Attrs map[string]int `json:"attrs"`
		Other map[string]int `json:"other"`
	}
	for _, p := range []publisher{
		{map[string]int{"EUR": 1, "userId": 2}, nil},
		{map[string]int{"userId": 1, "x_y": 2, "Ä1": 3}, map[string]int{"user_id": 4}},
	} {
		if got := receiveEvent[publisher, reader](t, p); !reflect.DeepEqual(publisher(got), p) {
			t.Errorf("got %v, want %v", got, p)
		}
		got := receiveEvent[publisher, map[string]map[string]int](t, p)
		if !reflect.DeepEqual(got["attrs"], p.Attrs) || !reflect.DeepEqual(got["other"], p.Other) {
			t.Errorf("got %v, want %v", got, p)
		}
	}
}

func TestAnUntypedReaderGetsFieldsInSnakeCaseAndDataAsWritten(t *testing.T) {
	got := receiveEvent[withData, map[string]any](t, sampleData())
	if counts, _ := got["counts"].(map[string]any); len(counts) != 4 || counts["SKU_12"] == nil || got["order_id"] == nil {
		t.Errorf("got %v", got)
	}
}

func TestTheBodyForPythonStaysInCamelCase(t *testing.T) {
	rec, err := parley.NewEvent[withData]("order", "paid").Record(sampleData())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"orderId":7`, `"SKU12":3`, `"userId":"x"`, `"inRaw":1`, `"x8664":"y_z"`} {
		if !strings.Contains(string(rec.Body), part) {
			t.Errorf("the body has no %s: %s", part, rec.Body)
		}
	}
	if rec.Header(parley.HeaderDataKeys) == "" {
		t.Error("no header for the keys of the data")
	}
	rec, err = parley.NewEvent[struct{ OrderID int }]("order", "paid").Record(struct{ OrderID int }{1})
	if err != nil || rec.Headers != nil {
		t.Errorf("a struct without data has headers %v (%v)", rec.Headers, err)
	}
}

func TestAMessageWithoutTheHeaderIsReadByPythonsRules(t *testing.T) {
	var got map[string]any
	r := parley.NewRouter()
	parley.On(r, parley.NewEvent[map[string]any]("order", "paid"), func(_ context.Context, e parley.Event[map[string]any]) error {
		got = e.Payload
		return nil
	})
	m := parley.Message{Exchange: "order", RoutingKey: "paid", Body: []byte(`{"eventId": 1, "payload": {"userId": "1", "SKU12": "2", "sha256": "3"}}`)}
	if err := r.Dispatch(t.Context(), parley.NewDelivery(m, "q", false, nil)); err != nil {
		t.Fatal(err)
	}
	if want := (map[string]any{"user_id": "1", "sk_u_12": "2", "sha_256": "3"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTwoKeysOfOneWireNameCannotBePublished(t *testing.T) {
	_, err := parley.NewEvent[map[string]int]("order", "paid").Record(map[string]int{"user_id": 1, "userId": 2})
	if !errors.Is(err, parley.ErrInvalid) || !strings.Contains(err.Error(), `"user_id"`) || !strings.Contains(err.Error(), `"userId"`) || !strings.Contains(err.Error(), "Verbatim") {
		t.Errorf("got %v, want ErrInvalid that names both keys", err)
	}
}

func TestAnUnreadableNoteOnKeysParksTheMessage(t *testing.T) {
	r := parley.NewRouter()
	parley.On(r, parley.NewEvent[map[string]any]("order", "paid"), func(context.Context, parley.Event[map[string]any]) error { return nil })
	m := parley.Message{Exchange: "order", RoutingKey: "paid", Body: []byte(`{"payload": {}}`), Headers: map[string]any{parley.HeaderDataKeys: "[]"}}
	_, ok := errors.AsType[*parley.MalformedError](r.Dispatch(t.Context(), parley.NewDelivery(m, "q", false, nil)))
	if !ok {
		t.Error("the message was handled")
	}
}

type verbatimPayload struct {
	UserID int               `json:"user_id"`
	At     time.Duration     `json:"took"`
	Data   map[string]string `json:"data"`
}

func TestAVerbatimEventIsNotTouchedInEitherDirection(t *testing.T) {
	e := parley.NewEvent[verbatimPayload]("order", "paid").Verbatim()
	want := verbatimPayload{UserID: 1, At: time.Second, Data: map[string]string{"user_id": "a", "userId": "b"}}
	rec, err := e.Record(want)
	if err != nil {
		t.Fatal(err)
	}
	if payload := `"payload": {"user_id":1,"took":1000000000,"data":{"userId":"b","user_id":"a"}}}`; !strings.HasSuffix(string(rec.Body), payload) {
		t.Errorf("body %s, want it to end in %s", rec.Body, payload)
	}
	var got verbatimPayload
	r := parley.NewRouter()
	parley.On(r, e, func(_ context.Context, e parley.Event[verbatimPayload]) error { got = e.Payload; return nil })
	if err := r.Dispatch(t.Context(), dispatched(rec)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func TestVerbatimCommandsAndCallsAreNotTouched(t *testing.T) {
	args := map[string]string{"user_id": "a", "userId": "b"}
	r := parley.NewRouter()
	c := parley.NewCommand[map[string]any]("sms", "any").Verbatim()
	rec, err := c.Record(map[string]any{"user_id": "a", "userId": "b"})
	if err != nil {
		t.Fatal(err)
	}
	var untyped map[string]any
	parley.OnCommand(r, c, func(_ context.Context, c parley.Command[map[string]any]) error { untyped = c.Args; return nil })
	if err := r.Dispatch(t.Context(), dispatched(rec)); err != nil || len(untyped) != 2 || untyped["userId"] != "b" {
		t.Errorf("command: got %v (%v)", untyped, err)
	}
	call := parley.NewCall[map[string]string, map[string]string]("shop", "echo").Verbatim()
	if reply := echo(t, call, args); !reflect.DeepEqual(reply, args) {
		t.Errorf("call: got %v, want %v", reply, args)
	}
}

// echo asks call, whose handler answers with the request, and returns the reply.
func echo[T any](t *testing.T, call *parley.CallType[T, T], request T) (reply T) {
	t.Helper()
	store := memory.NewStore()
	in := must(parley.NewInbox(store, &parley.InboxConfig{Consumer: "c"}))
	out := must(parley.NewOutbox(store, nil))
	r := parley.NewRouter()
	parley.OnCall(r, in, out, call, func(_ context.Context, _ *memory.Tx, c parley.Call[T]) (T, error) { return c.Data, nil })
	parley.OnReply(r, call, func(_ context.Context, got parley.Reply[T]) error { reply = got.Data; return nil })
	rec, err := call.Record(request, parley.WithReplyTo("answers"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Dispatch(t.Context(), dispatched(rec)); err != nil {
		t.Fatal(err)
	}
	for _, answer := range store.Pending() {
		if err := r.Dispatch(t.Context(), dispatched(answer)); err != nil {
			t.Fatal(err)
		}
	}
	return reply
}

func TestNothingChangesInTheRequestAndReplyOfACall(t *testing.T) {
	want := map[string]int{"EUR": 1, "a_b_c": 2, "sku12": 3}
	if got := echo(t, parley.NewCall[map[string]int, map[string]int]("shop", "echo"), want); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestKeyRulesChangeWhatIsWrittenAndHowPythonIsRead(t *testing.T) {
	rules := parley.KeyRules{IgnoreKeys: []string{"user_id"}, IgnoreFields: []string{"free_form"}, NoUnderscoreBeforeNumber: true}
	rec, err := parley.NewEvent[any]("x", "y").Record(map[string]any{"user_id": 1, "free_form": map[string]any{"a_b": 1}, "c_d": 2}, parley.WithKeyRules(rules))
	if want := `"payload": {"cD":2,"freeForm":{"a_b":1},"user_id":1}}`; err != nil || !strings.HasSuffix(string(rec.Body), want) {
		t.Errorf("body %s (%v), want %s", rec.Body, err, want)
	}
	type typed struct {
		UserID   int               `json:"user_id"`
		FreeForm struct{ A_B int } `json:"free_form"`
		CD       int               `json:"c_d"`
	}
	rec, err = parley.NewEvent[typed]("x", "y").Record(typed{}, parley.WithKeyRules(rules))
	if want := `"payload": {"user_id":0,"freeForm":{"A_B":0},"cD":0}}`; err != nil || !strings.HasSuffix(string(rec.Body), want) {
		t.Errorf("body %s (%v), want %s", rec.Body, err, want)
	}
}
