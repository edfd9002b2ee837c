package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley/rest"
	"golang.org/x/oauth2"
)

func TestTwoHundredCallersWithAnExpiredTokenLogInOnce(t *testing.T) {
	var expired atomic.Bool
	s := newLoginServer(t, func(token string) bool { return token == "tok-2" || token == "tok-1" && !expired.Load() })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"})
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	expired.Store(true)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if err := get(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.logins.Load(); n != 2 {
		t.Errorf("%d logins, want the first and one more", n)
	}
}

func TestTwoHundredFirstCallersLogInOnce(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-1" })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if err := get(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.logins.Load(); n != 1 {
		t.Errorf("%d logins, want one", n)
	}
}

func TestLoginsBackOffWhileTheLoginServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		a, next := authorizer(t, nil, func(context.Context) (*oauth2.Token, error) { asked++; return nil, errors.New("down") })
		var last *rest.LoginError
		for range 600 { // ten minutes
			_, err := a.RoundTrip(request(t, t.Context()))
			if !errors.As(err, &last) || !errors.Is(err, rest.ErrLogin) {
				t.Fatalf("%v, want a LoginError", err)
			}
			time.Sleep(time.Second)
		}
		if asked < 10 || asked > 17 || *next != 0 { // 1+2+4+8+16+32, then once per minute
			t.Errorf("%d logins in ten minutes and %d requests sent, want 10 to 17 and none", asked, *next)
		}
		if wait := time.Until(last.RetryAt); wait <= 0 || wait > time.Minute {
			t.Errorf("RetryAt is in %v", wait)
		}
	})
}

// source is a ContextTokenSource that calls a function.
type source func(context.Context) (*oauth2.Token, error)

func (f source) Token() (*oauth2.Token, error) { return f(context.Background()) }

func (f source) TokenContext(ctx context.Context) (*oauth2.Token, error) { return f(ctx) }

func authorizer(t *testing.T, cfg *rest.AuthConfig, s source) (a *rest.Auth, sent *int) {
	t.Helper()
	sent = new(int)
	a, err := rest.NewAuth(roundTrip(func(r *http.Request) (*http.Response, error) {
		*sent++
		resp := response(r, 200)
		resp.Header.Set("Sent", r.Header.Get("Authorization"))
		return resp, nil
	}), s, []string{"http://h"}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, sent
}

func TestATokenIsRefreshedAheadOfItsEndWhileTheOldOneIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		gate := make(chan struct{})
		a, _ := authorizer(t, nil, func(ctx context.Context) (*oauth2.Token, error) {
			if n++; n == 2 {
				<-gate
			}
			return &oauth2.Token{AccessToken: fmt.Sprint("t", n), Expiry: time.Now().Add(100 * time.Second)}, nil
		})
		use := func() string {
			resp, err := a.RoundTrip(request(t, t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			return resp.Header.Get("Sent")
		}
		for second := range 86 {
			if got := use(); got != "Bearer t1" {
				t.Fatalf("after %ds: %s", second, got)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n != 2 {
			t.Fatalf("%d logins after 86 of 100 seconds, want the second one running", n)
		}
		close(gate)
		synctest.Wait()
		if got := use(); got != "Bearer t2" || n != 2 {
			t.Errorf("%s after %d logins, want t2 after 2", got, n)
		}
	})
}

func TestADeadTokenIsNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		a, _ := authorizer(t, nil, func(context.Context) (*oauth2.Token, error) {
			n++
			return &oauth2.Token{AccessToken: fmt.Sprint("t", n), Expiry: time.Now().Add(time.Minute)}, nil
		})
		for want := 1; want <= 3; want++ {
			resp, err := a.RoundTrip(request(t, t.Context()))
			if err != nil || resp.Header.Get("Sent") != fmt.Sprint("Bearer t", want) {
				t.Errorf("%v, %v, want t%d", resp, err, want)
			}
			// The second token is valid for three more seconds, which the request may need to arrive.
			time.Sleep([]time.Duration{time.Hour, 57 * time.Second, 0}[want-1])
		}
	})
}

func TestTheFirstCallersDeadlineDoesNotFailTheLoginForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		a, _ := authorizer(t, nil, func(ctx context.Context) (*oauth2.Token, error) {
			n++
			select {
			case <-time.After(5 * time.Second):
				return &oauth2.Token{AccessToken: "t"}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := a.RoundTrip(request(t, ctx)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller with the short deadline: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := a.RoundTrip(request(t, t.Context())); err != nil || n != 1 {
				t.Errorf("the other callers: %v after %d logins", err, n)
			}
		})
		wg.Wait()
	})
}

func TestALoginEndsByItsTimeoutAndByClose(t *testing.T) {
	hang := func(ctx context.Context) (*oauth2.Token, error) { <-ctx.Done(); return nil, context.Cause(ctx) }
	synctest.Test(t, func(t *testing.T) {
		a, _ := authorizer(t, &rest.AuthConfig{Timeout: 3 * time.Second}, hang)
		start := time.Now()
		_, err := a.RoundTrip(request(t, t.Context()))
		if !errors.Is(err, rest.ErrLogin) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, _ := authorizer(t, nil, hang)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.RoundTrip(request(t, t.Context())); !errors.Is(err, rest.ErrLogin) {
				t.Error(err)
			}
		})
		synctest.Wait()
		_ = a.Close()
		wg.Wait()
		if _, err := a.RoundTrip(request(t, t.Context())); !errors.Is(err, rest.ErrLogin) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestASourceThatMisbehavesIsALoginError(t *testing.T) {
	for name, s := range map[string]source{
		"panics": func(context.Context) (*oauth2.Token, error) { panic("oops") },
		"nil":    func(context.Context) (*oauth2.Token, error) { return nil, nil },
		"empty":  func(context.Context) (*oauth2.Token, error) { return &oauth2.Token{}, nil },
		"CRLF":   func(context.Context) (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "a\r\nEvil: 1"}, nil },
	} {
		a, sent := authorizer(t, nil, s)
		if _, err := a.RoundTrip(request(t, t.Context())); !errors.Is(err, rest.ErrLogin) || *sent != 0 {
			t.Errorf("%s: %v, %d sent", name, err, *sent)
		}
	}
}
