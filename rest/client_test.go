package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

type subject struct {
	ID        int64
	FullName  string `json:"full_name"`
	CreatedAt time.Time
	Exact     string `wire:"X-exact"`
}

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := rest.New(rest.Config{
		Host: "nowhere", AuthURL: "login", Timeout: -1, MaxBytes: -1, UserAgent: "a\nb", ExtraHosts: []string{"ftp://u:hidden@x"},
		Header: http.Header{"Bad Name": {"x"}}, Retry: rest.RetryConfig{BaseDelay: -1}, CorrelationHeader: "Host",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Config.Host", "Timeout", "MaxBytes", "UserAgent", "ExtraHosts", `"Bad Name"`, "BaseDelay", "CorrelationHeader"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("the error contains a password: %v", err)
	}
	for _, cfg := range []rest.Config{
		{AuthURL: "login"}, {Username: "u"}, {Credential: 1}, {AuthURL: "l", Credential: 1, Username: "u"}, {AuthURL: "@l", Username: "u"},
		{AuthURL: "l", Username: "u", TokenSource: rest.ClientCredentials(nil, nil)}, {AuthURL: "l", Credential: nan()},
		{AuthURL: "l", Username: "u", Auth: rest.AuthConfig{RefreshAt: 2, MinBackoff: -1}}, {Breaker: rest.BreakerConfig{Ratio: 1.5}},
		{Connections: rest.TransportConfig{DialTimeout: -1}}, {TrustedHosts: []string{"x"}},
	} {
		cfg.Host = "http://h"
		if _, err := rest.New(cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
}

func TestAConfigInALogShowsNoPassword(t *testing.T) {
	cfg := rest.Config{Host: "http://user:hidden@h", Username: "u", Password: "hidden"}
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg)} {
		if strings.Contains(text, "hidden") {
			t.Errorf("the text contains the password: %s", text)
		}
	}
}

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

type idKey struct{}

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

func TestHTTPClientHasTokensAndRetries(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-2" })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"})
	resp, err := c.HTTPClient().Get(s.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || s.logins.Load() != 2 {
		t.Errorf("status %d after %d logins, want 200 after 2", resp.StatusCode, s.logins.Load())
	}
}
