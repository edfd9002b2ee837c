package rest_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/parley-go/parley/rest"
)

func nan() float64 { return math.NaN() }

// requested returns the URL that a client with that host would request, without a network.
func requested(host, path string, opts ...rest.Option) (*url.URL, error) {
	var got *url.URL
	c, err := rest.New(rest.Config{Host: host, Retry: rest.RetryConfig{MaxRetries: -1}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r.URL
		return response(r, 204), nil
	})})
	if err != nil {
		return nil, err
	}
	_, err = rest.Get[any](context.Background(), c, path, opts...)
	return got, err
}

func TestHostAndPathAreJoinedExactly(t *testing.T) {
	for _, c := range []struct{ host, path, want string }{
		{"http://h", "x", "http://h/x"},
		{"http://h/", "/x", "http://h/x"},
		{"http://h", "/x/", "http://h/x/"},
		{"http://h", "", "http://h/"},
		{"http://h/", "/", "http://h/"},
		{"http://h/base/", "", "http://h/base"},
		{"http://h/base", "/", "http://h/base/"},
		{"http://h/base///", "x", "http://h/base/x"},
		{"HTTP://h:8080/b%2Fc", "d", "http://h:8080/b%2Fc/d"},
		{"http://h", "a%2Fb?c=d%20e&f", "http://h/a%2Fb?c=d%20e&f"},
		{"http://h", "a b/ü?q=ü |", "http://h/a%20b/%C3%BC?q=%C3%BC%20%7C"},
		{"http://h", "x#frag?no", "http://h/x"},
		{"http://h", "x@y", "http://h/x@y"},
		{"http://h", "/@y", "http://h/@y"},
		{"http://h", "a:b/c", "http://h/a:b/c"},
		{"http://[::1]:80", "x", "http://[::1]:80/x"},
		{"http://h", rest.Path("a/", 7, "b/c ?#"), "http://h/a/7/b%2Fc%20%3F%23"},
	} {
		if got, err := requested(c.host, c.path); err != nil || got.String() != c.want {
			t.Errorf("%q + %q = %v, %v, want %s", c.host, c.path, got, err, c.want)
		}
	}
}

func TestHostilePathsAreRefusedAndNothingIsSent(t *testing.T) {
	for _, path := range []string{
		"@evil.example/x", "//evil.example/x", "http://evil.example/x", "HTTPS://evil.example", "x//y", "../admin", "x/..", "x/./y", "x/%2e%2e/y",
		"x/%2e%2e%2fy", `x\y`, "x\r\nHost: evil", "x\x00", "x\x7f", "%zz", rest.Path("a", ""), rest.Path("a", ".."), rest.Path("a", "", "b"), "x/..%5cy",
	} {
		got, err := requested("http://h", path)
		if path == rest.Path("a", "") {
			continue // "a/": only the server knows whether this is another resource
		}
		if !errors.Is(err, rest.ErrInvalid) || got != nil {
			t.Errorf("path %q: sent to %v, %v; want ErrInvalid", path, got, err)
		}
	}
}

func FuzzURLJoining(f *testing.F) {
	for _, s := range []string{"x", "/x?y=z", "@evil", "//evil", "http://evil", "a/%2e%2e", "a\r\nb", `\\evil`, "ü", "a?b#c", "%", "a%2Fb", ":80/x", "x:/y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := requested("http://host.example:8080/base", path)
		if err != nil {
			if got != nil || !errors.Is(err, rest.ErrInvalid) {
				t.Fatalf("%q: %v, and sent to %v", path, err, got)
			}
			return
		}
		again, err := url.Parse(got.String())
		if err != nil {
			t.Fatalf("%q: the URL does not parse: %v", path, err)
		}
		if again.Scheme != "http" || again.Host != "host.example:8080" || again.User != nil || again.Fragment != "" {
			t.Fatalf("%q: the URL has another host: %v", path, got)
		}
		if again.Path != got.Path || again.RawQuery != got.RawQuery {
			t.Fatalf("%q: parsed again it is %v", path, again)
		}
		if p := got.EscapedPath(); p != "/base" && !strings.HasPrefix(p, "/base/") || strings.Contains(p, "//") || strings.ContainsAny(got.RequestURI(), " \r\n\x00") {
			t.Fatalf("%q: the request URI is %q", path, got.RequestURI())
		}
		for seg := range strings.SplitSeq(got.Path, "/") {
			if seg == "." || seg == ".." {
				t.Fatalf("%q: the URL has a dot segment: %v", path, got)
			}
		}
	})
}
