package rest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestNoTokenNorHeaderFollowsARedirectToAnotherOrigin(t *testing.T) {
	var mu sync.Mutex
	var leaked []string
	foreign := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		leaked = append(leaked, r.Host+r.URL.Path)
		mu.Unlock()
	}
	otherPort := serve(t, foreign)
	overTLS := httptest.NewTLSServer(http.HandlerFunc(foreign))
	t.Cleanup(overTLS.Close)
	var target string
	s := newLoginServer(t, nil)
	s.Server.Config.Handler = redirectTo(s.Server.Config.Handler, &target)
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	for name, to := range map[string]string{
		"other port":   otherPort.URL + "/x",
		"other host":   "http://localhost" + port + "/leak",
		"other scheme": overTLS.URL + "/x",
		"sub-domain":   "http://api.localhost" + port + "/leak",
		"no scheme":    "//localhost" + port + "/leak",
		"user":         "http://user:pw@" + strings.TrimPrefix(s.URL, "http://") + "/leak",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
			for _, status := range []string{"301", "302", "303", "307", "308"} {
				target = status + to
				c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p", Header: http.Header{"X-Api-Key": {"k"}}})
				_, err := rest.Do[any](t.Context(), c, method, "start")
				e, ok := errors.AsType[*rest.ResponseError](err)
				if !ok || !errors.Is(err, rest.ErrRedirect) || !strings.HasSuffix(e.Location, to) {
					t.Errorf("%s, %s, %s: %v, want ErrRedirect to %s", name, method, status, err, to)
				}
			}
		}
	}
	if leaked != nil || s.calls.Load() != 0 {
		t.Errorf("followed to %v and %d times to another name of the server", leaked, s.calls.Load())
	}
}

// redirectTo answers /start with the redirect in to: three digits and a URL.
func redirectTo(next http.Handler, to *string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/start" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Location", (*to)[3:])
		w.WriteHeader(map[string]int{"301": 301, "302": 302, "303": 303, "307": 307, "308": 308}[(*to)[:3]])
	})
}

func TestRedirectsWithinTheOriginAreFollowedForGetAndHeadUpToFive(t *testing.T) {
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		hops := strings.Count(r.URL.Path, "a")
		if hops == 0 {
			answer(w, 200, `1`)
			return
		}
		http.Redirect(w, r, "/"+strings.Repeat("a", hops-1), http.StatusFound)
	}))
	c := client(t, rest.Config{Host: s.URL})
	if _, err := rest.Get[any](t.Context(), c, "aaaaa?token=1"); err != nil {
		t.Errorf("five redirects: %v", err)
	}
	for _, r := range rec.take() {
		if r.header.Get("Referer") != "" {
			t.Errorf("sent Referer %q", r.header.Get("Referer"))
		}
	}
	if _, err := rest.Get[any](t.Context(), c, "aaaaaa"); !errors.Is(err, rest.ErrRedirect) {
		t.Errorf("six redirects: %v, want ErrRedirect", err)
	}
	rec.take()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		if _, err := rest.Do[any](t.Context(), c, method, "a", rest.JSON(1)); !errors.Is(err, rest.ErrRedirect) || len(rec.take()) != 1 {
			t.Errorf("%s: %v, want ErrRedirect after one request", method, err)
		}
	}
}

func TestTheCredentialFollowsNoRedirect(t *testing.T) {
	thief := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the login was redirected") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+"/login", http.StatusTemporaryRedirect)
	})
	err := get(t, client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"}))
	if !errors.Is(err, rest.ErrLogin) || !errors.Is(err, rest.ErrRedirect) {
		t.Errorf("%v, want ErrLogin and ErrRedirect", err)
	}
}

func TestHTTPClientFollowsNoFurtherThanACall(t *testing.T) {
	thief := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("followed to another origin") })
	var rec recorder
	s := serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, thief.URL, http.StatusFound)
		case "/on":
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	}))
	hc := client(t, rest.Config{Host: s.URL}).HTTPClient()
	for path, want := range map[string]int{"/away": 302, "/on?token=x": 200} {
		resp, err := hc.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	for _, r := range rec.take() {
		if r.header.Get("Referer") != "" {
			t.Errorf("%s got Referer %s", r.target, r.header.Get("Referer"))
		}
	}
}

func TestATransportMayReturnABareAnswer(t *testing.T) {
	c := client(t, rest.Config{Host: "http://h", Transport: roundTrip(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 204}, nil })})
	if err := get(t, c); err != nil {
		t.Errorf("an answer with only a status: %v", err)
	}
}
