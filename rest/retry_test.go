package rest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley/rest"
)

// A fault is one way for a server to fail a request.
type fault struct {
	name string
	do   func(t *testing.T, w http.ResponseWriter, r *http.Request)
}

// connections have a short header timeout for faults that block the header.
func (f fault) connections() (c rest.TransportConfig) {
	if f.name == "timeout" {
		c.HeaderTimeout = 250 * time.Millisecond
	}
	return c
}

var faults = []fault{
	{"reset before the header", func(t *testing.T, w http.ResponseWriter, _ *http.Request) { reset(t, w, "") }},
	{"reset within the header", func(t *testing.T, w http.ResponseWriter, _ *http.Request) { reset(t, w, "HTTP/1.1 200 OK\r\nContent-") }},
	{"reset after the header", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		reset(t, w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
	}},
	{"502", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { answer(w, 502, "") }},
	{"503", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { answer(w, 503, "") }},
	{"503 with Retry-After", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		answer(w, 503, "")
	}},
	{"504", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { answer(w, 504, "") }},
	{"500", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { answer(w, 500, "") }},
	{"429", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { answer(w, 429, "") }},
	{"timeout", func(_ *testing.T, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
}

func TestAPOSTThatMayHaveBeenProcessedArrivesOnce(t *testing.T) {
	for _, f := range faults {
		for _, method := range []string{"POST", "PATCH"} {
			t.Run(method+" "+f.name, func(t *testing.T) {
				var count atomic.Int64
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "GET" { // opens a connection: net/http itself repeats requests on used ones
						w.WriteHeader(204)
						return
					}
					count.Add(1)
					_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not notice that the client has disconnected
					f.do(t, w, r)
				})
				c := client(t, rest.Config{Host: s.URL, Connections: f.connections()})
				if err := get(t, c); err != nil {
					t.Fatal(err)
				}
				_, err := rest.Do[any](t.Context(), c, method, "x", rest.JSON(1))
				if err == nil || count.Load() != 1 {
					t.Errorf("arrived %d times, %v; want once and an error", count.Load(), err)
				}
			})
		}
	}
}

func TestRequestsThatAreSafeToRepeatAreRetried(t *testing.T) {
	for _, f := range faults {
		for name, call := range map[string]func(*rest.Client) error{
			"GET":  func(c *rest.Client) error { return get(t, c) },
			"HEAD": func(c *rest.Client) error { _, err := rest.Head(t.Context(), c, "x"); return err },
			"PUT":  func(c *rest.Client) error { _, err := rest.Put[any](t.Context(), c, "x", 1); return err },
			"POST with key": func(c *rest.Client) error {
				_, err := rest.Post[any](t.Context(), c, "x", 1, rest.IdempotencyKey("k-1"))
				return err
			},
		} {
			if f.name == "500" || f.name == "reset after the header" {
				continue // a 500 is an answer, and the transport does not repeat a body that breaks off
			}
			t.Run(name+" "+f.name, func(t *testing.T) {
				var count atomic.Int64
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if r.Body != http.NoBody && string(body) != "1" {
						t.Errorf("attempt with body %q", body)
					}
					if count.Add(1) <= 2 {
						f.do(t, w, r)
						return
					}
					answer(w, 200, "1")
				})
				c := client(t, rest.Config{Host: s.URL, Connections: f.connections()})
				if err := call(c); err != nil || count.Load() != 3 {
					t.Errorf("%v after %d attempts, want success after 3", err, count.Load())
				}
			})
		}
	}
}

func TestAPOSTIsRepeatedWhenNothingWasSentOrTheServerSaysItRefused(t *testing.T) {
	t.Run("429 with Retry-After", func(t *testing.T) {
		var count atomic.Int64
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if count.Add(1) == 1 {
				w.Header().Set("Retry-After", "0")
				answer(w, 429, "")
				return
			}
			answer(w, 200, "1")
		})
		if _, err := rest.Post[any](t.Context(), client(t, rest.Config{Host: s.URL}), "x", 1); err != nil || count.Load() != 2 {
			t.Errorf("%v after %d attempts", err, count.Load())
		}
	})
	t.Run("503 with Retry-After from a server trusted in that", func(t *testing.T) {
		var count atomic.Int64
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if count.Add(1) == 1 {
				w.Header().Set("Retry-After", "0")
				answer(w, 503, "")
				return
			}
			answer(w, 200, "1")
		})
		c := client(t, rest.Config{Host: s.URL, Retry: rest.RetryConfig{TrustRetryAfter: true}})
		if _, err := rest.Post[any](t.Context(), c, "x", 1); err != nil || count.Load() != 2 {
			t.Errorf("%v after %d attempts", err, count.Load())
		}
	})
	t.Run("connection refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		var attempts atomic.Int64
		c := client(t, rest.Config{Host: "http://" + address, Hooks: rest.Hooks{Attempt: func(_ context.Context, a rest.Attempt) {
			if n := attempts.Add(1); int(n) != a.Number || a.Err == nil || a.Method != "POST" {
				t.Errorf("attempt %d: %+v", n, a)
			}
		}}})
		_, err = rest.Post[any](t.Context(), c, "x", 1)
		if !errors.Is(err, rest.ErrConnection) || !errors.Is(err, syscall.ECONNREFUSED) || attempts.Load() != 4 {
			t.Errorf("%v after %d attempts, want a refusal after 4", err, attempts.Load())
		}
	})
}

func TestAStreamIsSentOnce(t *testing.T) {
	var count atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, 503, "")
	})
	_, err := rest.Put[any](t.Context(), client(t, rest.Config{Host: s.URL}), "x", rest.Stream("text/plain", strings.NewReader("abc"), -1))
	if !errors.Is(err, rest.ErrUnavailable) || count.Load() != 1 {
		t.Errorf("%v after %d attempts, want one", err, count.Load())
	}
}

// retrier returns a Retrier over a transport that answers with status and header, in virtual time.
func retrier(t *testing.T, cfg *rest.RetryConfig, status int, header http.Header) (*rest.Retrier, *[]time.Time) {
	t.Helper()
	sent := new([]time.Time)
	r, err := rest.NewRetrier(roundTrip(func(r *http.Request) (*http.Response, error) {
		*sent = append(*sent, time.Now())
		resp := response(r, status)
		resp.Header = header
		return resp, nil
	}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, sent
}

func request(t *testing.T, ctx context.Context) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://h/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRetryAfterIsWaitedForInBothForms(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "7" },
		"date":    func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, sent := retrier(t, &rest.RetryConfig{MaxRetries: 1}, 503, http.Header{"Retry-After": {value()}})
				if _, err := r.RoundTrip(request(t, t.Context())); err != nil {
					t.Fatal(err)
				}
				if wait := (*sent)[1].Sub((*sent)[0]); wait < 6*time.Second || wait > 7200*time.Millisecond {
					t.Errorf("waited %v, want slightly more than 7s", wait)
				}
			})
		})
	}
}

func TestAnAbsurdRetryAfterEndsTheRetries(t *testing.T) {
	for _, value := range []string{"61", "99999999999999999999", "Fri, 01 Jan 2999 00:00:00 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			r, sent := retrier(t, nil, 503, http.Header{"Retry-After": {value}})
			if _, err := r.RoundTrip(request(t, t.Context())); err != nil || len(*sent) != 1 {
				t.Errorf("Retry-After %s: %d attempts, %v; want one", value, len(*sent), err)
			}
		})
	}
}

func TestWaitsAreRandomAndGrowToTheirBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sent := retrier(t, &rest.RetryConfig{MaxRetries: 9, BaseDelay: time.Second, MaxDelay: 4 * time.Second}, 503, nil)
		different := map[time.Duration]bool{}
		for range 2 {
			*sent = nil
			if _, err := r.RoundTrip(request(t, t.Context())); err != nil {
				t.Fatal(err)
			}
			for i := 1; i < len(*sent); i++ {
				wait, bound := (*sent)[i].Sub((*sent)[i-1]), min(time.Second<<(i-1), 4*time.Second)
				if wait > bound+time.Microsecond {
					t.Errorf("retry %d after %v, more than %v", i, wait, bound)
				}
				different[wait] = true
			}
		}
		if len(different) < 8 {
			t.Errorf("only %d different delays", len(different))
		}
	})
}

func TestARetryThatCannotMeetTheDeadlineIsNotTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, sent := retrier(t, nil, 503, http.Header{"Retry-After": {"6"}})
		start := time.Now()
		resp, err := r.RoundTrip(request(t, ctx))
		if err != nil || resp.StatusCode != 503 || len(*sent) != 1 || time.Since(start) != 0 {
			t.Errorf("%v, %v after %d attempts and %v; want the 503 at once", resp, err, len(*sent), time.Since(start))
		}
	})
}

func TestAWaitForARetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := retrier(t, nil, 503, http.Header{"Retry-After": {"30"}})
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if _, err := r.RoundTrip(request(t, ctx)); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want context.Canceled after 1s", err, time.Since(start))
		}
	})
}
