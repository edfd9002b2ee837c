package rest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

func TestTypedResultsMatchKeysInEitherCase(t *testing.T) {
	for _, body := range []string{
		`{"id":9007199254740993,"fullName":"Ann","createdAt":"2024-05-01T10:00:00Z","X-exact":"e","other":[1]}`,
		`{"ID":9007199254740993,"full_name":"Ann","created_at":"2024-05-01T10:00:00Z","X-exact":"e"}`,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, body) })
		got, err := rest.Get[subject](t.Context(), client(t, rest.Config{Host: s.URL}), "x")
		want := subject{9007199254740993, "Ann", time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC), "e"}
		if err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

func TestUntypedResultsKeepNumbersAndHaveSnakeCaseKeys(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"bigId":9007199254740993,"p":1.10}`) })
	got, err := rest.Get[map[string]any](t.Context(), client(t, rest.Config{Host: s.URL}), "x")
	if err != nil || got["big_id"] != json.Number("9007199254740993") || got["p"] != json.Number("1.10") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAnotherResultThanRequestedIsADecodeError(t *testing.T) {
	for body, ok := range map[string]bool{
		``: false, `<html>`: false, `{"a":1} x`: false, `{"a":`: false, "\ufeff" + `{"a":1}`: true, "{\"a\":\"\xff\"}": false,
		strings.Repeat("[", 500) + strings.Repeat("]", 500): false, `[1]`: false,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, body) })
		got, err := rest.Get[map[string]any](t.Context(), client(t, rest.Config{Host: s.URL}), "x?key=hide")
		if ok != (err == nil) {
			t.Errorf("%.20q: %v", body, err)
		}
		if ok {
			continue
		}
		e, isDecode := errors.AsType[*rest.DecodeError](err)
		if !isDecode || !errors.Is(err, rest.ErrDecode) || got != nil || e.Status != 200 || strings.Contains(err.Error(), "hide") {
			t.Errorf("%.20q: %v, %v, want a DecodeError", body, got, err)
		}
	}
}

func TestInvalidUTF8IsAnError(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "{\"a\":\"\xe9\"}") })
	if err := get(t, client(t, rest.Config{Host: s.URL})); !errors.Is(err, rest.ErrDecode) {
		t.Errorf("%v, want ErrDecode", err)
	}
}

func TestFormattersAreReplaceablePerClientAndPerCall(t *testing.T) {
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"fooBar":1}`) }))
	c := client(t, rest.Config{Host: s.URL, RequestFormatter: rest.PlainRequest, ResponseFormatter: rest.PlainResponse})
	body := map[string]int{"a_b": 1}
	got, err := rest.Post[map[string]any](t.Context(), c, "x", body)
	if err != nil || got["fooBar"] == nil {
		t.Errorf("per client: %v, %v", got, err)
	}
	got, err = rest.Post[map[string]any](t.Context(), c, "x", body, rest.FormatRequest(rest.CamelCase), rest.FormatResponse(rest.SnakeCase))
	if err != nil || got["foo_bar"] == nil {
		t.Errorf("per call: %v, %v", got, err)
	}
	contentType, err := rest.Get[string](t.Context(), c, "x", rest.FormatResponse(func(r *rest.Response, v any) error {
		*v.(*string) = r.Header.Get("Content-Type")
		return nil
	}))
	if err != nil || contentType != "application/json" {
		t.Errorf("own formatter: %q, %v", contentType, err)
	}
	if requests := rec.take(); requests[0].body != `{"a_b":1}` || requests[1].body != `{"aB":1}` {
		t.Errorf("sent %q and %q", requests[0].body, requests[1].body)
	}
	if _, err := rest.Get[string](t.Context(), c, "x", rest.FormatResponse(rest.FullResponse)); !errors.Is(err, rest.ErrDecode) {
		t.Errorf("wrong type for FullResponse: %v", err)
	}
	if _, err := rest.Get[string](t.Context(), c, "x", rest.FormatResponse(rest.FileResponse)); !errors.Is(err, rest.ErrDecode) {
		t.Errorf("wrong type for FileResponse: %v", err)
	}
}

func TestTimesAndNumbersTravelInBodies(t *testing.T) {
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	body := subject{9007199254740993, "Ann", time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC), "e"}
	if _, err := rest.Post[rest.None](t.Context(), client(t, rest.Config{Host: s.URL}), "x", body); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		ID        json.Number `json:"id"`
		FullName  string      `json:"fullName"`
		CreatedAt time.Time   `json:"createdAt"`
		Exact     string      `json:"X-exact"`
	}
	text := rec.take()[0].body
	if err := json.Unmarshal([]byte(text), &sent); err != nil || sent.ID != "9007199254740993" || sent.FullName != "Ann" || !sent.CreatedAt.Equal(body.CreatedAt) || sent.Exact != "e" {
		t.Errorf("sent %s, %v", text, err)
	}
}
