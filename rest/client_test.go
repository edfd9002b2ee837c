package rest_test

import (
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

type subject struct {
	ID        int64
	FullName  string `json:"full_name"`
	CreatedAt time.Time
	Exact     string `wire:"X-exact"`
}

type idKey struct{}

func TestHTTPClientHasTokensAndRetries(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-2" })
	c := client(t, rest.Config{Host: s.URL, AuthURL: "login", Username: "u", Password: "p"})
	resp, err := c.HTTPClient().Get(s.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || s.logins.Load() != 2 {
		t.Errorf("status %d after %d logins, want 200 after 2", resp.StatusCode, s.logins.Load())
	}
}
