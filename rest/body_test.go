package rest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-go/parley/rest"
)

func dialError() error { return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} }

func TestBodiesOfEveryKind(t *testing.T) {
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	c := client(t, rest.Config{Host: s.URL})
	form := struct {
		UserName string
		Tags     []string
		Admin    bool
		Age      *int
	}{"a&b", []string{"x", "y"}, true, nil}
	for name, step := range map[string]struct {
		body              any
		want, contentType string
	}{
		"struct":       {struct{ UserID int }{7}, `{"userId":7}`, "application/json"},
		"map":          {map[string]any{"user_id": 7}, `{"userId":7}`, "application/json"},
		"raw JSON":     {json.RawMessage(`{"user_id":7}`), `{"userId":7}`, "application/json"},
		"null":         {json.RawMessage(`null`), `null`, "application/json"},
		"nothing":      {nil, "", ""},
		"form":         {rest.Form(form), "userName=a%26b&tags=x&tags=y&admin=True", "application/x-www-form-urlencoded"},
		"form values":  {rest.Form(url.Values{"a_b": {"1"}}), "a_b=1", "application/x-www-form-urlencoded"},
		"raw":          {rest.Raw("text/csv", []byte("a,b")), "a,b", "text/csv"},
		"raw, nothing": {rest.Raw("text/csv", nil), "", "text/csv"},
		"stream":       {rest.Stream("text/plain", strings.NewReader("abc"), 3), "abc", "text/plain"},
		"chunked":      {rest.Stream("text/plain", strings.NewReader("abc"), -1), "abc", "text/plain"},
	} {
		if _, err := rest.Post[rest.None](t.Context(), c, "x", step.body); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := rec.take()[0]; got.body != step.want || got.header.Get("Content-Type") != step.contentType {
			t.Errorf("%s: sent %q as %q, want %q as %q", name, got.body, got.header.Get("Content-Type"), step.want, step.contentType)
		}
	}
}

func TestUploadsAreMultipartAndNotCopied(t *testing.T) {
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	c := client(t, rest.Config{Host: s.URL})
	for name, f := range map[string]rest.File{
		"bytes":  {Field: "my_file", Name: `a"b.txt`, Data: []byte("hello")},
		"reader": {Field: "my_file", Name: `a"b.txt`, Reader: strings.NewReader("hello"), Size: 5},
		"pipe":   {Field: "my_file", Name: `a"b.txt`, Reader: io.MultiReader(strings.NewReader("hello")), Size: -1},
	} {
		body := rest.Multipart(url.Values{"b": {"2"}, "a": {"1"}}, f, rest.File{Field: "empty"})
		if _, err := rest.Post[rest.None](t.Context(), c, "x", body); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := rec.take()[0]
		if list := parts(t, got.header.Get("Content-Type"), got.body); list != `a/=1 b/=2 my_file/a"b.txt=hello empty/=` {
			t.Errorf("%s: %s", name, list)
		}
		if known := got.header.Get("Content-Length") != ""; known != (f.Size >= 0) {
			t.Errorf("%s: length known: %v", name, known)
		}
	}
}

func TestInvalidBodiesAreRefused(t *testing.T) {
	c := client(t, rest.Config{Host: "http://h", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("sent")
		return nil, errors.New("sent")
	})})
	for name, body := range map[string]any{
		"reader": strings.NewReader("x"), "bytes": []byte("x"), "channel": make(chan int), "NaN": nan(), "form of a number": rest.Form(5),
		"nested form": rest.Form(map[string]any{"a": map[string]int{"b": 1}}), "stream of nothing": rest.Stream("", nil, 0),
		"file name": rest.Multipart(nil, rest.File{Field: "a\r\nb"}), "broken JSON": json.RawMessage(`{`),
	} {
		if _, err := rest.Post[any](t.Context(), c, "x", body); !errors.Is(err, rest.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
