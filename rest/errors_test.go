package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

func TestStatusesMatchTheirSentinelsAndParents(t *testing.T) {
	all := []error{
		rest.ErrRequest, rest.ErrConnection, rest.ErrTimeout, rest.ErrCircuitOpen, rest.ErrTooLarge, rest.ErrInvalid, rest.ErrLogin, rest.ErrDecode,
		rest.ErrResponse, rest.ErrRedirect, rest.ErrClient, rest.ErrServer, rest.ErrBadRequest, rest.ErrUnauthorized, rest.ErrForbidden,
		rest.ErrNotFound, rest.ErrConflict, rest.ErrUnprocessable, rest.ErrTooManyRequests, rest.ErrBadGateway, rest.ErrUnavailable, rest.ErrGatewayTimeout,
	}
	for status, own := range map[int][]error{
		300: nil, 304: nil, 400: {rest.ErrClient, rest.ErrBadRequest}, 401: {rest.ErrClient, rest.ErrUnauthorized}, 402: {rest.ErrClient},
		403: {rest.ErrClient, rest.ErrForbidden}, 404: {rest.ErrClient, rest.ErrNotFound}, 409: {rest.ErrClient, rest.ErrConflict},
		422: {rest.ErrClient, rest.ErrUnprocessable}, 429: {rest.ErrClient, rest.ErrTooManyRequests}, 500: {rest.ErrServer},
		502: {rest.ErrServer, rest.ErrBadGateway}, 503: {rest.ErrServer, rest.ErrUnavailable}, 504: {rest.ErrServer, rest.ErrGatewayTimeout}, 600: nil,
	} {
		c := client(t, rest.Config{Host: "http://h", Retry: rest.RetryConfig{MaxRetries: -1}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return response(r, status), nil
		})})
		err := get(t, c)
		own = append(own, rest.ErrResponse)
		for _, sentinel := range all {
			want := false
			for _, o := range own {
				want = want || o == sentinel
			}
			if errors.Is(err, sentinel) != want {
				t.Errorf("%d: errors.Is(%v) = %v", status, sentinel, !want)
			}
		}
		if e, ok := errors.AsType[*rest.ResponseError](err); !ok || e.Status != status || e.Method != "GET" || e.URL != "http://h/x" {
			t.Errorf("%d: %+v", status, err)
		}
	}
}

func TestErrorsShowNoSecrets(t *testing.T) {
	const hidden = "hidden"
	path := "x?page=2&access_token=hidden&api_key=hidden&%74oken=hidden&X-Amz-Signature=hidden&code=hidden"
	for _, status := range []int{200, 404, 0} {
		var logged strings.Builder
		c := client(t, rest.Config{
			Host: "http://h", Retry: rest.RetryConfig{MaxRetries: -1},
			Hooks: rest.Hooks{Attempt: func(_ context.Context, a rest.Attempt) { fmt.Fprintf(&logged, "%+v", a) }},
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if status == 0 {
					return nil, errors.New("reset")
				}
				return response(r, status), nil
			}),
		})
		_, err := rest.Get[any](t.Context(), c, path, rest.Header("Authorization", "Bearer hidden"))
		if err == nil || strings.Contains(err.Error(), hidden) || strings.Contains(logged.String(), hidden) {
			t.Errorf("status %d: %v, hook %s", status, err, logged.String())
		}
		if !strings.Contains(err.Error(), "page=2") {
			t.Errorf("the error hides too much: %v", err)
		}
		if _, err := rest.Get[any](t.Context(), c, "@"+path); err == nil || strings.Contains(err.Error(), hidden) {
			t.Errorf("invalid path: %v", err)
		}
	}
}

func TestALoginErrorShowsNoCredentialThatTheServerEchoes(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 403, `{"detail":"no user with password s3cret-pw"}`)
	})
	err := get(t, client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "shop", Password: "s3cret-pw"}))
	if !errors.Is(err, rest.ErrForbidden) || strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") {
		t.Errorf("%v", err)
	}
	e, _ := errors.AsType[*rest.LoginError](err)
	if e == nil || time.Until(e.RetryAt) <= 0 || strings.Count(err.Error(), "rest: ") != 1 {
		t.Errorf("%+v in %v", e, err)
	}
}
