package rest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/parley-go/parley/rest"
)

var passwords = []string{"plainsecret", `se"cret&1`, `sëcret<1>`, `sec\ret/1`, "secret \U0001F511 key", "s3c"}

// echoes are the forms in which servers echo what they have received.
var echoes = map[string]func(text string) string{
	"as it is": func(text string) string { return text },
	"JSON": func(text string) string {
		out, _ := json.Marshal(map[string]any{"detail": "wrong", "got": text})
		return string(out)
	},
	"JSON of Python": func(text string) string {
		out, _ := json.Marshal(text)
		return `{"detail": ` + asciiJSON(string(out)) + `}`
	},
	"JSON with slashes": func(text string) string {
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		_ = e.Encode(text)
		return strings.ReplaceAll(out.String(), "/", `\/`)
	},
	"HTML":            func(text string) string { return "<pre>" + html.EscapeString(text) + "</pre>" },
	"form":            func(text string) string { return "password=" + url.QueryEscape(text) },
	"problem details": func(text string) string { return `{"title": ` + strconv.Quote(text) + `}` },
}

// asciiJSON writes all characters outside ASCII as \u escapes, as surrogate pairs where needed.
func asciiJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r > 0x7e:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// secretTexts are the forms in which a secret could appear in a log.
func secretTexts(secret string) (out []string) {
	for _, echo := range echoes {
		out = append(out, strings.Trim(echo(secret), "\n"))
	}
	return append(out, secret)
}

func wantSilent(t *testing.T, what string, err error, secret string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	shown := fmt.Sprintf("%v %+v %#v", err, err, err)
	if refused, ok := errors.AsType[*rest.ResponseError](err); ok {
		shown += fmt.Sprintf("%s %v %v %s", refused.Body, refused.Problem, refused.Header, refused.Location)
	}
	for _, text := range secretTexts(secret) {
		if strings.Contains(shown, text) {
			t.Errorf("%s: the text contains the secret %q: %s", what, secret, shown)
			return
		}
	}
}

func TestARefusedLoginShowsNoPassword(t *testing.T) {
	for name, echo := range echoes {
		for _, password := range passwords {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				var got map[string]string
				body, _ := io.ReadAll(r.Body)
				_ = json.Unmarshal(body, &got)
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("X-Debug", got["password"])
				w.Header().Set("Location", "/again?p="+url.QueryEscape(got["password"]))
				w.WriteHeader([]int{http.StatusBadRequest, http.StatusFound}[len(name)%2])
				_, _ = io.WriteString(w, echo(got["password"]))
			})
			c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: password})
			_, err := rest.Get[any](t.Context(), c, "x")
			wantSilent(t, "a login that is answered with "+name, err, password)
			if !errors.Is(err, rest.ErrLogin) || !errors.Is(err, rest.ErrResponse) {
				t.Errorf("%v, want ErrLogin and ErrResponse", err)
			}
		}
	}
}

func TestAnErrorOfATokenEndpointShowsNoSecret(t *testing.T) {
	for _, code := range []string{"invalid_client", "bad secret: s3cret-of-shop"} {
		source := failingSource{&oauth2.RetrieveError{
			Response: &http.Response{StatusCode: 401}, Body: []byte("you sent s3cret-of-shop"), ErrorCode: code, ErrorDescription: "s3cret-of-shop",
		}}
		_, err := rest.Get[any](t.Context(), client(t, rest.Config{Host: "http://localhost", TokenSource: source}), "x")
		wantSilent(t, "a token source of package oauth2", err, "s3cret-of-shop")
		if !errors.Is(err, rest.ErrLogin) || !errors.Is(err, rest.ErrUnauthorized) || strings.Contains(err.Error(), "invalid_client") != (code == "invalid_client") {
			t.Errorf("%v, want ErrLogin and ErrUnauthorized, with a code of the standard only", err)
		}
	}
}

type failingSource struct{ err error }

func (s failingSource) Token() (*oauth2.Token, error) { return nil, s.err }

func TestAnAnswerThatEchoesItsCredentialIsNotShown(t *testing.T) {
	for name, echo := range echoes {
		for _, password := range passwords[:5] {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, got, _ := r.BasicAuth()
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, echo(got))
			})
			sent, _ := http.NewRequest(http.MethodGet, "http://x", http.NoBody)
			sent.SetBasicAuth("u", password)
			c := client(t, rest.Config{Host: s.URL})
			_, err := rest.Get[any](t.Context(), c, "x", rest.Header("Authorization", sent.Header.Get("Authorization")))
			wantSilent(t, "an answer with "+name, err, password)
		}
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusBadRequest, `{"detail": "no such user"}`)
	})
	_, err := rest.Get[any](t.Context(), client(t, rest.Config{Host: s.URL}), "x", rest.Header("Authorization", "Bearer abcdef"))
	if err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("%v, want the reason of an answer that shows no credential", err)
	}
}

func TestAHostWithAPasswordIsNotShown(t *testing.T) {
	for _, host := range []string{"http://u:hunter2@api", "http://u:hunter2/x@api", "http://u:hunter2%zz@api", "ht tp://u:hunter2@api", "http://u:hunter2@api:port"} {
		_, err := rest.New(rest.Config{Host: host})
		wantSilent(t, "a host with a password", err, "hunter2")
	}
}
