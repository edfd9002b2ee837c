package rest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// A token is a token of the source with its times.
type token struct {
	value     *oauth2.Token
	header    []string  // the Authorization header, encoded
	refreshAt time.Time // zero: not before it expires
	deadAt    time.Time // zero: valid until a 401
	replaces  bool      // it replaces a token that a 401 refused
}

func (t *token) dead(now time.Time) bool { return !t.deadAt.IsZero() && !now.Before(t.deadAt) }

// tokens keeps the current token and ensures that one login runs at a time.
// oauth2.ReuseTokenSource holds its lock while it logs in, takes no context,
// refreshes only once the token has expired, and cannot react to a 401.
// golang.org/x/sync/singleflight would do half of that. But Close cannot wait for its
// goroutine, and the backoff after failures needs the same lock anyway.
type tokens struct {
	source oauth2.TokenSource
	cfg    AuthConfig

	// current is read without mu by every request; it changes only under mu.
	current atomic.Pointer[token]
	// proven is the token that was accepted last, so that most
	// requests take no lock.
	proven atomic.Pointer[token]

	wg sync.WaitGroup // running logins

	// mu guards the fields below. It is not held while the source is called.
	mu        sync.Mutex
	closed    bool
	flight    *flight
	failures  int       // failed logins in a row
	failed    error     // the error of the last failed login
	pausedTo  time.Time // no login before that
	unproven  int       // consecutive fresh tokens that were refused
	doubted   *token    // the refused token that was counted last
	replacing bool      // the next token comes after a 401
}

// A flight is one login and the requests that wait for it.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once token and err are set
	token  *token
	err    error
}

// get returns the current token, or waits for the login that fetches one. It ends
// with ctx; the login continues for the others.
func (s *tokens) get(ctx context.Context) (*token, error) {
	t := s.current.Load()
	now := time.Now()
	if t != nil && (t.refreshAt.IsZero() || now.Before(t.refreshAt)) {
		return t, nil
	}
	f, err := s.login(ctx, now)
	if t := s.current.Load(); t != nil && !t.dead(now) {
		return t, nil // it is still valid while a new one is fetched
	}
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// login joins the running login or starts one, except during a backoff.
func (s *tokens) login(ctx context.Context, now time.Time) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, &LoginError{Err: errors.New("client is closed")}
	case s.flight != nil:
		return s.flight, nil
	case now.Before(s.pausedTo) && s.failed != nil:
		return nil, &LoginError{Err: s.failed, RetryAt: s.pausedTo}
	}
	if t := s.current.Load(); t != nil && (t.refreshAt.IsZero() || now.Before(t.refreshAt)) {
		return landed(t), nil // another login ended between the check and the lock
	}
	// The login keeps the caller's values (trace, language) but not its deadline:
	// the first of many waiters must not fail the login for the others.
	detached := context.WithValue(context.WithoutCancel(ctx), attemptKey{}, 1)
	fctx, cancel := context.WithTimeout(detached, s.cfg.Timeout)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	s.flight = f
	s.wg.Go(func() { s.fly(fctx, f) })
	return f, nil
}

func landed(t *token) *flight {
	f := &flight{cancel: func() {}, done: make(chan struct{}), token: t}
	close(f.done)
	return f
}

func (s *tokens) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	value, err := s.ask(ctx)
	if s.cfg.Login != nil {
		s.cfg.Login(ctx, err)
	}
	now := time.Now()
	s.mu.Lock()
	s.flight = nil
	if err != nil {
		s.failures++
		s.failed = err
		s.pausedTo = now.Add(pause(s.cfg.MinBackoff, s.cfg.MaxBackoff, s.failures))
		f.err = &LoginError{Err: err, RetryAt: s.pausedTo}
	} else {
		s.failures, s.failed = 0, nil
		f.token = s.newToken(value, now)
		f.token.replaces, s.replacing = s.replacing, false
		s.current.Store(f.token)
	}
	s.mu.Unlock()
	close(f.done)
}

// ask calls the source; a panic of the source becomes an error for the waiting requests.
func (s *tokens) ask(ctx context.Context) (t *oauth2.Token, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("token source panicked: %v", p)
		}
	}()
	if cs, ok := s.source.(ContextTokenSource); ok {
		t, err = cs.TokenContext(ctx)
	} else {
		t, err = s.source.Token()
	}
	switch {
	case err != nil:
		return nil, withoutReply(err, "")
	case t == nil || t.AccessToken == "":
		return nil, errors.New("token source returned an empty token")
	case !headerSafe(t.Type() + t.AccessToken):
		return nil, errors.New("token contains characters that are invalid in a header")
	}
	return t, nil
}

// newToken decides when to refresh t. The jitter prevents clients that started
// together from always logging in together.
func (s *tokens) newToken(t *oauth2.Token, now time.Time) *token {
	k := &token{value: t, header: []string{t.Type() + " " + t.AccessToken}}
	life := t.Expiry.Sub(now)
	if t.Expiry.IsZero() || life <= 0 {
		// The expiry is unknown, or in the past because of clock skew: wait for a 401.
		return k
	}
	at := time.Duration(float64(life) * s.cfg.RefreshAt * (0.95 + 0.1*rand.Float64()))
	margin := min(5*time.Second, life/10) // time for the request to arrive
	k.deadAt = now.Add(life - margin)
	k.refreshAt = now.Add(min(at, life-margin))
	return k
}

// refused drops t after a 401, unless it is no longer the current token. It
// reports whether to fetch a new token. It returns false during a backoff, and
// if t itself came after a 401 and was never accepted: a new login would not help.
func (s *tokens) refused(t *token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current.Load() != t:
		return true // another request has replaced the token: use the new one
	case time.Now().Before(s.pausedTo):
		return false
	case t.replaces && s.doubted != t && s.proven.Load() != t:
		s.doubt(t)
		return false
	}
	s.current.Store(nil)
	s.replacing = true
	return true
}

// refusedAgain records that a fresh token was refused.
func (s *tokens) refusedAgain(t *token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A hundred requests with one bad token are one failure.
	if s.current.Load() == t && s.doubted != t {
		s.doubt(t)
	}
}

// doubt begins a backoff, under mu. Each one in a row is twice as long as the
// previous one; otherwise every request against a broken server would log in once.
func (s *tokens) doubt(t *token) {
	s.doubted = t
	s.unproven++
	s.pausedTo = time.Now().Add(pause(s.cfg.MinBackoff, s.cfg.MaxBackoff, s.unproven))
}

// accepted ends such a series of backoffs.
func (s *tokens) accepted(t *token) {
	if s.proven.Load() == t {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() == t {
		s.unproven = 0
		s.proven.Store(t)
	}
}

func (s *tokens) close() {
	s.mu.Lock()
	s.closed = true
	if s.flight != nil {
		s.flight.cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// pause returns a delay that doubles from lowest to highest; n counts from 1.
func pause(lowest, highest time.Duration, n int) time.Duration {
	d := lowest
	for range min(n-1, 32) {
		if d >= highest/2 {
			return highest
		}
		d *= 2
	}
	return min(d, highest)
}
