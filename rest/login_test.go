package rest_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/parley-go/parley/rest"
)

// loginTo returns a Login whose server answers with reply.
func loginTo(t *testing.T, cfg *rest.LoginConfig, reply func(r seen) (int, string)) (*rest.Login, *recorder) {
	t.Helper()
	rec := new(recorder)
	s := serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) {
		rec.mu.Lock()
		last := rec.requests[len(rec.requests)-1]
		rec.mu.Unlock()
		status, body := reply(last)
		answer(w, status, body)
	}))
	if cfg != nil && cfg.RefreshURL != "" {
		cfg.RefreshURL = s.URL + cfg.RefreshURL
	}
	hc := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(hc.CloseIdleConnections)
	l, err := rest.NewLogin(hc, s.URL+"/login", map[string]string{"user_name": "u"}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l, rec
}

func jwt(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(claims)) + ".c2ln"
}

func TestTokenAndItsLifeAreReadFromTheReply(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name, reply string
		cfg         *rest.LoginConfig
		token       string
		life        time.Duration
	}{
		{"camel", `{"accessToken":"t","expiresIn":3600}`, nil, "t", time.Hour},
		{"snake, text", `{"access_token":"t","expires_in":"60"}`, nil, "t", time.Minute},
		{"nested", `{"data":{"jwtToken":"t","expires_in":60},"expires_in":5}`, &rest.LoginConfig{TokenField: "data.jwt_token"}, "t", time.Minute},
		{"date", fmt.Sprintf(`{"access_token":"t","expiresAt":%q}`, now.Add(time.Hour).Format(time.RFC3339)), nil, "t", time.Hour},
		{"unix", fmt.Sprintf(`{"access_token":"t","expires_at":%d}`, now.Add(time.Hour).Unix()), nil, "t", time.Hour},
		{"JWT", fmt.Sprintf(`{"access_token":%q}`, jwt(fmt.Sprintf(`{"exp":%d}`, now.Add(time.Hour).Unix()))), nil, "", time.Hour},
		{"JWT of a clock ten hours off", fmt.Sprintf(`{"access_token":%q}`, jwt(fmt.Sprintf(`{"exp":%d,"iat":%d}`, now.Add(-9*time.Hour).Unix(), now.Add(-10*time.Hour).Unix()))), nil, "", time.Hour},
		{"none", `{"access_token":"t"}`, nil, "t", 0},
		{"nonsense", `{"access_token":"a.b.c","expires_in":-5,"expires_at":"soon"}`, nil, "a.b.c", 0},
	} {
		l, _ := loginTo(t, c.cfg, func(seen) (int, string) { return 200, c.reply })
		got, err := l.Token()
		if err != nil || c.token != "" && got.AccessToken != c.token {
			t.Errorf("%s: %v, %v", c.name, got, err)
			continue
		}
		if c.life == 0 != got.Expiry.IsZero() || c.life > 0 && (time.Until(got.Expiry)-c.life).Abs() > 5*time.Second {
			t.Errorf("%s: expires at %v, want a life of %v", c.name, got.Expiry, c.life)
		}
	}
}

func TestARefreshTokenIsUsedAndTheCredentialWhenItIsRefused(t *testing.T) {
	refused := false
	l, rec := loginTo(t, &rest.LoginConfig{RefreshURL: "/refresh", Scheme: "JWT"}, func(r seen) (int, string) {
		switch {
		case r.target == "/login" && refused:
			return 200, `{"accessToken":"t1"}`
		case r.target == "/login":
			return 200, `{"accessToken":"t1","refreshToken":"r1"}`
		case refused:
			return 401, `{}`
		}
		return 200, `{"accessToken":"t2"}`
	})
	var got []string
	for i := range 4 {
		refused = i == 2
		token, err := l.Token()
		if err != nil || token.Type() != "JWT" {
			t.Fatal(token, err)
		}
		for _, r := range rec.take() {
			got = append(got, r.target+r.body)
		}
	}
	want := `/login{"userName":"u"} /refresh{"refreshToken":"r1"} /refresh{"refreshToken":"r1"} /login{"userName":"u"} /login{"userName":"u"}`
	if strings.Join(got, " ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestAReplyWithoutATokenIsNotShown(t *testing.T) {
	for _, reply := range []string{`{"tok":"hidden"}`, `"hidden"`, `hidden`, `{"access_token":{"x":"hidden"}}`, `[]`, ``} {
		l, _ := loginTo(t, nil, func(seen) (int, string) { return 200, reply })
		if token, err := l.Token(); err == nil || strings.Contains(err.Error(), "hidden") || !errors.Is(err, rest.ErrDecode) {
			t.Errorf("%s: %v, %v", reply, token, err)
		}
	}
	l, _ := loginTo(t, nil, func(seen) (int, string) { return 200, `{"access_token":"` + strings.Repeat("x", 2<<20) + `"}` })
	if _, err := l.Token(); !errors.Is(err, rest.ErrTooLarge) {
		t.Errorf("2 MB: %v", err)
	}
}

func TestAnyTokenSourceFits(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "fixed" })
	good := client(t, rest.Config{Host: s.URL, TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "fixed"})})
	if err := get(t, good); err != nil {
		t.Error(err)
	}
	bad := client(t, rest.Config{Host: s.URL, TokenSource: oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "old"}))})
	before := s.calls.Load()
	if err := get(t, bad); !errors.Is(err, rest.ErrUnauthorized) || s.calls.Load() != before+1 {
		t.Errorf("%v after %d calls: the same token again must not cause a replay", err, s.calls.Load()-before)
	}
}

func TestNewLoginNamesItsMistakes(t *testing.T) {
	if _, err := rest.NewLogin(nil, "login", nan(), &rest.LoginConfig{RefreshURL: "x"}); err == nil || strings.Count(err.Error(), "rest: ") != 3 {
		t.Errorf("%v, want three mistakes", err)
	}
}

func TestClientCredentialsAreATokenSource(t *testing.T) {
	logins := 0
	auth := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, secret, _ := r.BasicAuth(); secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" {
			answer(w, 401, `{"error":"invalid_client","error_description":"s3cret is wrong"}`)
			return
		}
		logins++
		answer(w, 200, fmt.Sprintf(`{"access_token":"t%d","token_type":"bearer","expires_in":3600}`, logins))
	})
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if token, ok := cutBearer(r); !ok || token != "t2" {
			answer(w, 401, "")
			return
		}
		answer(w, 200, "1")
	})
	hc := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(hc.CloseIdleConnections)
	cc := clientcredentials.Config{ClientID: "shop", ClientSecret: "s3cret", TokenURL: auth.URL + "/token"}
	if err := get(t, client(t, rest.Config{Host: api.URL, TokenSource: rest.ClientCredentials(&cc, hc)})); err != nil || logins != 2 {
		t.Errorf("%v after %d logins, want a fresh token after the 401", err, logins)
	}
	cc.ClientSecret = "s3cret!"
	err := get(t, client(t, rest.Config{Host: api.URL, TokenSource: rest.ClientCredentials(&cc, hc)}))
	if !errors.Is(err, rest.ErrLogin) || !errors.Is(err, rest.ErrUnauthorized) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v, want ErrLogin and ErrUnauthorized without the secret", err)
	}
}

func TestALoginIsRetriedWhenItsServerWasUnreachable(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-1" })
	first := true
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	c := client(t, rest.Config{Host: s.URL, AuthURL: s.URL + "/login", Username: "u", Password: "p", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if first {
			first = false
			return nil, dialError()
		}
		return transport.RoundTrip(r)
	})})
	if err := get(t, c); err != nil || s.logins.Load() != 1 {
		t.Errorf("%v after %d logins", err, s.logins.Load())
	}
}
