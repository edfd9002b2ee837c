package rest_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-go/parley/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs h on a loopback port for the length of the test.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// client returns a Client for the test, with immediate retries unless cfg says otherwise.
func client(t testing.TB, cfg rest.Config) *rest.Client {
	t.Helper()
	if cfg.Retry.BaseDelay == 0 {
		cfg.Retry.BaseDelay = time.Millisecond
	}
	c, err := rest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// answer writes a JSON response.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// seen is a request as the server received it.
type seen struct {
	method, target, body string
	header               http.Header
}

// recorder records each request before next answers it.
type recorder struct {
	mu       sync.Mutex
	requests []seen
}

func (r *recorder) wrap(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.requests = append(r.requests, seen{req.Method, req.RequestURI, string(body), req.Header.Clone()})
		r.mu.Unlock()
		next(w, req)
	}
}

func (r *recorder) take() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.requests
	r.requests = nil
	return got
}

// reset resets the connection of w, after writing written, if anything.
func reset(t testing.TB, w http.ResponseWriter, written string) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = rw.WriteString(written)
	_ = rw.Flush()
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// loginServer answers POST /login with a new token each time, and refuses other
// requests with a token that is not accepted.
type loginServer struct {
	*httptest.Server
	logins, calls atomic.Int64
	accept        func(token string) bool
}

func newLoginServer(t testing.TB, accept func(token string) bool) *loginServer {
	s := &loginServer{accept: accept}
	s.Server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			n := s.logins.Add(1)
			answer(w, 200, `{"accessToken":"tok-`+string(rune('0'+n%10))+`"}`)
			return
		}
		s.calls.Add(1)
		token, _ := cutBearer(r)
		if !s.accept(token) {
			answer(w, 401, `{"detail":"token expired"}`)
			return
		}
		answer(w, 200, `{"fooBar":1}`)
	})
	return s
}

func cutBearer(r *http.Request) (string, bool) {
	const prefix = "Bearer "
	h := r.Header.Get("Authorization")
	if len(h) < len(prefix) {
		return h, false
	}
	return h[len(prefix):], h[:len(prefix)] == prefix
}

func sameJSON(t testing.TB, what, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Errorf("%s: %q is not JSON: %v", what, got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if string(x) != string(y) {
		t.Errorf("%s: %s, want %s", what, x, y)
	}
}

// roundTrip is an http.RoundTripper that calls a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(r *http.Request, status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}
}

func get(t testing.TB, c *rest.Client, opts ...rest.Option) error {
	t.Helper()
	_, err := rest.Get[any](context.Background(), c, "x", opts...)
	return err
}
