package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley/rest"
	"golang.org/x/oauth2"
)

func TestA401LogsInOnceMoreAndReplaysOnce(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-2" })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"})
	got, err := rest.Post[map[string]any](t.Context(), c, "x", 1)
	if err != nil || got["foo_bar"] == nil || s.logins.Load() != 2 || s.calls.Load() != 2 {
		t.Errorf("%v, %v after %d logins and %d calls, want 2 of both", got, err, s.logins.Load(), s.calls.Load())
	}
}

func TestARepeated401CausesNoLoginStorm(t *testing.T) {
	s := newLoginServer(t, func(string) bool { return false })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p", Auth: rest.AuthConfig{MinBackoff: time.Minute}})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 4 {
				if err := get(t, c); !errors.Is(err, rest.ErrUnauthorized) || errors.Is(err, rest.ErrLogin) {
					t.Errorf("%v, want ErrUnauthorized", err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.logins.Load(); n != 2 {
		t.Errorf("%d logins for 200 refused calls, want the first and one more", n)
	}
}

func TestAStreamIsNotReplayedAfterA401ButTheNextCallHasANewToken(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-2" })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"})
	_, err := rest.Post[any](t.Context(), c, "x", rest.Stream("", strings.NewReader("abc"), 3))
	if !errors.Is(err, rest.ErrUnauthorized) || s.calls.Load() != 1 {
		t.Errorf("%v after %d calls, want a 401 after one call", err, s.calls.Load())
	}
	if err := get(t, c); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestAHundredRequestsWithOneBadTokenAreOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logins atomic.Int64
		a, err := rest.NewAuth(roundTrip(func(r *http.Request) (*http.Response, error) { return response(r, 401), nil }),
			source(func(context.Context) (*oauth2.Token, error) {
				return &oauth2.Token{AccessToken: fmt.Sprint("t", logins.Add(1))}, nil
			}), []string{"http://h"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		burst := func() {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if resp, err := a.RoundTrip(request(t, t.Context())); err != nil || resp.StatusCode != 401 {
						t.Errorf("%v, %v, want a 401", resp, err)
					}
				})
			}
			wg.Wait()
		}
		burst()
		before := logins.Load()
		burst()
		if logins.Load() != before || before != 2 {
			t.Errorf("%d logins, then %d during the backoff", before, logins.Load()-before)
		}
		time.Sleep(time.Second + 1) // not the minute of backoff that a hundred failures would cause
		burst()
		if logins.Load() == before {
			t.Error("no login after the backoff")
		}
	})
}

func TestACallWithoutATokenIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := rest.New(rest.Config{Host: "http://h", TokenSource: source(func(context.Context) (*oauth2.Token, error) { return nil, dialError() })})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start := time.Now()
		if err := get(t, c); !errors.Is(err, rest.ErrLogin) || time.Since(start) != 0 {
			t.Errorf("%v after %v, want ErrLogin at once", err, time.Since(start))
		}
	})
}

func TestAnEndpointThatAlwaysReturns401DoesNotLogInEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		a, err := rest.NewAuth(roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/never" {
				return response(r, 401), nil
			}
			return response(r, 200), nil
		}), source(func(context.Context) (*oauth2.Token, error) {
			logins++
			return &oauth2.Token{AccessToken: fmt.Sprint("t", logins)}, nil
		}), []string{"http://h"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for range 100 { // ten seconds
			for path, want := range map[string]int{"http://h/never": 401, "http://h/good": 200} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp, err := a.RoundTrip(r); err != nil || resp.StatusCode != want {
					t.Errorf("%s: %v, %v", path, resp, err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if logins > 12 {
			t.Errorf("%d logins in ten seconds", logins)
		}
	})
}
