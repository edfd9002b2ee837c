package rest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/parley-go/parley/rest"
)

// servedAs answers each request with body and the content type.
func servedAs(t *testing.T, status int, contentType, body string) *rest.Client {
	t.Helper()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	return client(t, rest.Config{Host: s.URL})
}

func TestABodyIsReadInTheCharsetOfItsContentType(t *testing.T) {
	for _, c := range []struct{ contentType, body, want string }{
		{"application/json; charset=latin-1", "{\"userName\":\"Ren\xe9 \x80\"}", "René \u0080"},
		{"application/json;charset=ISO-8859-1", "{\"userName\":\"Ren\xe9\"}", "René"},
		{"application/json; charset=\"latin1\"", "{\"userName\":\"Ren\xe9\"}", "René"},
		{"application/json; charset=windows-1252", "{\"userName\":\"\x80\"}", "€"},
		{"text/json; charset=koi8-r", "{\"userName\":\"\xc1\"}", "а"},
		{"application/json; charset=utf-16le", "{\x00\"\x00u\x00s\x00e\x00r\x00N\x00a\x00m\x00e\x00\"\x00:\x00\"\x00\xe9\x00\"\x00}\x00", "é"},
		{"application/json; charset=utf-8", `{"userName":"é"}`, "é"},
		{"application/json; charset=unknown-1", `{"userName":"é"}`, "é"},
		{"application/json; charset", `{"userName":"é"}`, "é"},
		{"application/json; charset=ascii", `{"userName":"é"}`, "é"},
		{"", `{"userName":"é"}`, "é"},
	} {
		cl := servedAs(t, 200, c.contentType, c.body)
		var typed struct{ UserName string }
		typed, err := rest.Get[struct{ UserName string }](t.Context(), cl, "x")
		if err != nil || typed.UserName != c.want {
			t.Errorf("%s: struct %q (%v), want %q", c.contentType, typed.UserName, err, c.want)
		}
		untyped, err := rest.Get[map[string]string](t.Context(), cl, "x")
		if err != nil || untyped["user_name"] != c.want {
			t.Errorf("%s: map %q (%v), want %q", c.contentType, untyped, err, c.want)
		}
		plain, err := rest.Get[map[string]string](t.Context(), cl, "x", rest.FormatResponse(rest.PlainResponse))
		if err != nil || plain["userName"] != c.want {
			t.Errorf("%s: plain %q (%v), want %q", c.contentType, plain, err, c.want)
		}
		raw, err := rest.Get[json.RawMessage](t.Context(), cl, "x")
		if err != nil || string(raw) != `{"userName":"`+c.want+`"}` {
			t.Errorf("%s: raw %q (%v)", c.contentType, raw, err)
		}
		sent, err := rest.Get[[]byte](t.Context(), cl, "x")
		if err != nil || string(sent) != c.body {
			t.Errorf("%s: bytes %q (%v), want them as sent", c.contentType, sent, err)
		}
	}
}

func TestAnErrorBodyIsDecodedInItsCharset(t *testing.T) {
	_, err := rest.Get[rest.None](t.Context(), servedAs(t, 400, "application/json; charset=latin-1", "{\"detail\":\"\xe9\"}"), "x")
	e, ok := errors.AsType[*rest.ResponseError](err)
	if !ok {
		t.Fatal(err)
	}
	var got map[string]string
	if err := e.Decode(&got); err != nil || got["detail"] != "é" {
		t.Errorf("got %q (%v)", got, err)
	}
}

func TestALoneSurrogateIsReadAsTheReplacementCharacter(t *testing.T) {
	const body = `{"userName":"a\ud800b","\udc00":"😀\uDFFF"}`
	cl := servedAs(t, 200, "application/json", body)
	typed, err := rest.Get[struct{ UserName string }](t.Context(), cl, "x")
	if err != nil || typed.UserName != "a\ufffdb" {
		t.Errorf("struct %q (%v)", typed.UserName, err)
	}
	untyped, err := rest.Get[map[string]string](t.Context(), cl, "x")
	if err != nil || untyped["user_name"] != "a\ufffdb" || untyped["\ufffd"] != "😀\ufffd" {
		t.Errorf("map %q (%v)", untyped, err)
	}
	raw, err := rest.Get[json.RawMessage](t.Context(), cl, "x")
	if err != nil || string(raw) != body {
		t.Errorf("raw %s (%v)", raw, err)
	}
}
