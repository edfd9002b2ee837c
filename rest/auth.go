package rest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// AuthConfig configures the handling of tokens. The zero value means the defaults named
// at each field.
type AuthConfig struct {
	// Timeout limits one call of the token source. It does not depend on the
	// deadline of the request that caused it, because other requests wait for the same token. Default: 10s.
	Timeout time.Duration
	// RefreshAt is the part of a token's life after which a new one is fetched in the
	// background, while the old one is still used. Default: 0.8.
	RefreshAt float64
	// MinBackoff and MaxBackoff limit the backoff after a failed login, which doubles
	// from one to the other. During the backoff every request gets the same error and
	// no login is sent. Defaults: 1s and 60s.
	MinBackoff, MaxBackoff time.Duration
	// Login is called after each call of the token source, with nil if it returned a token.
	Login func(ctx context.Context, err error)
}

// A ContextTokenSource is an oauth2.TokenSource that takes a context. Auth
// prefers it: AuthConfig.Timeout and Close end its calls.
type ContextTokenSource interface {
	TokenContext(ctx context.Context) (*oauth2.Token, error)
}

// Auth is an http.RoundTripper that adds a token to requests to the origins that
// it was created for, and to no others, whatever redirects a client follows.
//
// However many requests wait, the source is called once. After a 401 answer Auth
// fetches one new token, unless that has happened meanwhile, and sends the
// request once again if its body can be sent again. If the new token is refused
// too, Auth returns the 401 and begins a backoff between logins.
//
// A request that has an Authorization header of its own is sent unchanged.
type Auth struct {
	next    http.RoundTripper
	origins map[string]bool
	covered perHost[bool]
	tokens  *tokens
}

// NewAuth returns an Auth around next. Tokens of source are sent to origins,
// such as "https://api.example.com". cfg may be nil. It also works on a plain
// http.Client: &http.Client{Transport: auth}. Close it when done.
func NewAuth(next http.RoundTripper, source oauth2.TokenSource, origins []string, cfg *AuthConfig) (*Auth, error) {
	if cfg == nil {
		cfg = &AuthConfig{}
	}
	c := *cfg
	errs := []error{
		notNegative("AuthConfig.Timeout", c.Timeout),
		notNegative("AuthConfig.MinBackoff", c.MinBackoff),
		notNegative("AuthConfig.MaxBackoff", c.MaxBackoff),
	}
	if c.RefreshAt < 0 || c.RefreshAt > 1 {
		errs = append(errs, errors.New("rest: AuthConfig.RefreshAt must be between 0 and 1"))
	}
	if next == nil || source == nil {
		errs = append(errs, errors.New("rest: NewAuth needs a transport and a token source"))
	}
	if len(origins) == 0 {
		errs = append(errs, errors.New("rest: NewAuth needs the origins that may receive tokens"))
	}
	a := &Auth{next: next, origins: make(map[string]bool)}
	a.covered.create = func(key string) bool { return a.origins[key] }
	for _, o := range origins {
		u, err := parseHost(o)
		if err != nil {
			errs = append(errs, fmt.Errorf("rest: origin %w", err))
			continue
		}
		a.origins[origin(u)] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.Timeout, c.RefreshAt = or(c.Timeout, 10*time.Second), or(c.RefreshAt, 0.8)
	c.MinBackoff, c.MaxBackoff = or(c.MinBackoff, time.Second), or(c.MaxBackoff, time.Minute)
	c.MaxBackoff = max(c.MaxBackoff, c.MinBackoff)
	a.tokens = &tokens{source: source, cfg: c}
	return a, nil
}

// Close cancels a running login and waits until it has ended. It also waits for a source that
// takes no context. Requests after Close get ErrLogin once their
// token has expired.
func (a *Auth) Close() error {
	a.tokens.close()
	return nil
}

// RoundTrip sends r, with a token if the origin of r may receive tokens.
func (a *Auth) RoundTrip(r *http.Request) (*http.Response, error) {
	if !a.covers(r.URL) || r.Header.Get("Authorization") != "" || skipsAuth(r.Context()) {
		return a.next.RoundTrip(r)
	}
	t, err := a.tokens.get(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := a.next.RoundTrip(authorized(r, t))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusUnauthorized {
		a.tokens.accepted(t)
		return resp, nil
	}
	return a.replay(r, resp, t)
}

// replay logs in once more after resp, a 401 for token t, and sends r once more.
func (a *Auth) replay(r *http.Request, resp *http.Response, t *token) (*http.Response, error) {
	if !a.tokens.refused(t) {
		return resp, nil // a new token was refused as well
	}
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return resp, nil // the next request gets a new token
	}
	fresh, err := a.tokens.get(r.Context())
	if err != nil {
		discard(resp)
		return nil, err
	}
	if fresh.value.AccessToken == t.value.AccessToken {
		a.tokens.refusedAgain(fresh)
		return resp, nil // the source returned a cached token
	}
	again, err := rewindBody(r)
	if err != nil {
		return resp, nil
	}
	discard(resp)
	resp, err = a.next.RoundTrip(authorized(again, fresh))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		a.tokens.refusedAgain(fresh)
	} else {
		a.tokens.accepted(fresh)
	}
	return resp, nil
}

func (a *Auth) covers(u *url.URL) bool { return a.covered.ofURL(u) }

// authorized copies r and adds the token: a RoundTripper must not change its request.
func authorized(r *http.Request, t *token) *http.Request {
	c := *r
	c.Header = maps.Clone(r.Header)
	if c.Header == nil {
		c.Header = make(http.Header, 1)
	}
	c.Header["Authorization"] = t.header
	return &c
}

func rewindBody(r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	c := *r
	c.Body = body
	return &c, nil
}

type noAuthKey struct{}

// withoutAuth marks the requests of a call with NoAuth.
func withoutAuth(ctx context.Context) context.Context {
	return context.WithValue(ctx, noAuthKey{}, true)
}

func skipsAuth(ctx context.Context) bool { return ctx.Value(noAuthKey{}) != nil }
