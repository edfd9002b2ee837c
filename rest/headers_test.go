package rest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestHeadersComeFromClientContextAndCallInThatOrder(t *testing.T) {
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	var bad int
	c := client(t, rest.Config{
		Host: s.URL, Language: "en", UserAgent: "shop/1", Header: http.Header{"x-team": {"a", "b"}},
		CorrelationID: func(ctx context.Context) string { id, _ := ctx.Value(idKey{}).(string); return id },
		Hooks:         rest.Hooks{BadCorrelationID: func(_ context.Context, n int) { bad = n }},
	})
	ctx := context.WithValue(t.Context(), idKey{}, "from-func")
	for _, step := range []struct {
		ctx                  context.Context
		opts                 []rest.Option
		language, id, accept string
	}{
		{ctx, nil, "en", "from-func", "application/json"},
		{rest.WithLanguage(rest.WithCorrelationID(ctx, "mine"), "de-AT, de;q=0.8"), nil, "de-AT, de;q=0.8", "mine", "application/json"},
		{rest.WithLanguage(ctx, ""), nil, "", "from-func", "application/json"},
		{rest.WithLanguage(ctx, "x\r\nEvil: 1"), nil, "", "from-func", "application/json"},
		{ctx, []rest.Option{rest.Header("accept-language", "fr"), rest.Header("Accept", ""), rest.Header("X-Correlation-Id", "opt")}, "fr", "opt", ""},
	} {
		if _, err := rest.Get[rest.None](step.ctx, c, "x", step.opts...); err != nil {
			t.Fatal(err)
		}
		h := rec.take()[0].header
		if h.Get("Accept-Language") != step.language || h.Get("X-Correlation-ID") != step.id || h.Get("Accept") != step.accept ||
			h.Get("User-Agent") != "shop/1" || len(h["X-Team"]) != 2 || h.Get("Evil") != "" {
			t.Errorf("sent %v, want %+v", h, step)
		}
	}
	forged := "a\nb" + strings.Repeat("x", 200)
	if _, err := rest.Get[rest.None](rest.WithCorrelationID(ctx, forged), c, "x"); err != nil {
		t.Fatal(err)
	}
	if id := rec.take()[0].header.Get("X-Correlation-ID"); id == "" || strings.Contains(id, "x") || bad != len(forged) {
		t.Errorf("sent id %q for a forged one, hook saw %d", id, bad)
	}
}

func TestInvalidHeadersAreRefusedWithoutShowingTheirValue(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { t.Error("sent"); w.WriteHeader(204) })
	c := client(t, rest.Config{Host: s.URL})
	for _, o := range []rest.Option{
		rest.Header("X-A", "hidden\r\nX-B: 1"), rest.Header("X A", "hidden"), rest.Header("", "hidden"), rest.Header("Host", "hidden"),
		rest.Header("Content-Length", "5"), rest.Header("X-A:", "hidden"), rest.IdempotencyKey(""), rest.Header("X-A", "hidden\x00"),
	} {
		if err := get(t, c, o); !errors.Is(err, rest.ErrInvalid) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v, want ErrInvalid without the value", err)
		}
	}
}
