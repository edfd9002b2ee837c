package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestResultsOfEveryKind(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			w.WriteHeader(204)
			return
		}
		answer(w, 201, `{"fooBar":1}`)
	})
	c, ctx := client(t, rest.Config{Host: s.URL}), t.Context()
	full, err := rest.Get[*rest.Response](ctx, c, "x?token=s3cret")
	if err != nil || full.Status != 201 || string(full.Body) != `{"fooBar":1}` || full.URL() != s.URL+"/x?token=REDACTED" {
		t.Errorf("full response: %+v, %v", full, err)
	}
	var later map[string]int
	if err := full.Decode(&later); err != nil || later["foo_bar"] != 1 {
		t.Errorf("decoded later: %v, %v", later, err)
	}
	if raw, err := rest.Post[[]byte](ctx, c, "x", nil); err != nil || string(raw) != `{"fooBar":1}` {
		t.Errorf("bytes: %s, %v", raw, err)
	}
	if raw, err := rest.Patch[json.RawMessage](ctx, c, "x", 1); err != nil || string(raw) != `{"fooBar":1}` {
		t.Errorf("raw JSON: %s, %v", raw, err)
	}
	if _, err := rest.Put[rest.None](ctx, c, "x", nil); err != nil {
		t.Errorf("none: %v", err)
	}
	if v, err := rest.Delete[*subject](ctx, c, "none"); err != nil || v != nil {
		t.Errorf("empty delete: %v, %v", v, err)
	}
	if h, err := rest.Head(ctx, c, "x"); err != nil || h.Status != 201 || len(h.Body) != 0 || h.Header.Get("Content-Type") == "" {
		t.Errorf("head: %+v, %v", h, err)
	}
}

func TestAContextEndsACallAtOnce(t *testing.T) {
	arrived := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := rest.Get[any](ctx, client(t, rest.Config{Host: s.URL}), "x")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, rest.ErrRequest) || errors.Is(err, rest.ErrConnection) || errors.Is(err, rest.ErrTimeout) {
		t.Errorf("%v, want context.Canceled and no retries", err)
	}
}
