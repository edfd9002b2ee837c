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

// A token is what the source gave, and when to do what with it.
type token struct {
	value     *oauth2.Token
	header    []string  // the Authorization header, ready to send
	refreshAt time.Time // zero: never ahead of time
	deadAt    time.Time // zero: lives until a 401
	replaces  bool      // a token that a 401 refused
}

func (t *token) dead(now time.Time) bool { return !t.deadAt.IsZero() && !now.Before(t.deadAt) }

// tokens keeps the current token and sees to it that one login runs at a time.
// oauth2.ReuseTokenSource holds its lock while it logs in, takes no context,
// refreshes only once the token is dead, and cannot be told of a 401.
// golang.org/x/sync/singleflight would do half of that, but its goroutine cannot
// be joined by Close, and the pause after failures needs the same lock anyway.
type tokens struct {
	source oauth2.TokenSource
	cfg    AuthConfig

	// current is read without mu by every request; it changes only under mu.
	current atomic.Pointer[token]
	// proven is the token that was last seen to be accepted, so that the usual
	// request takes no lock.
	proven atomic.Pointer[token]

	wg sync.WaitGroup // logins under way

	// mu guards the fields below. It is not held while the source is called.
	mu        sync.Mutex
	closed    bool
	flight    *flight
	failures  int       // logins failed in a row
	failed    error     // why the last one did
	pausedTo  time.Time // no login before that
	unproven  int       // fresh tokens refused in a row
	doubted   *token    // the one that was counted last
	replacing bool      // the next token comes after a 401
}

// A flight is one login and those who wait for it.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once token and err are set
	token  *token
	err    error
}

// get gives the current token, or waits for the login that fetches one. It ends
// with ctx; the login goes on for the others.
func (s *tokens) get(ctx context.Context) (*token, error) {
	t := s.current.Load()
	now := time.Now()
	if t != nil && (t.refreshAt.IsZero() || now.Before(t.refreshAt)) {
		return t, nil
	}
	f, err := s.login(ctx, now)
	if t := s.current.Load(); t != nil && !t.dead(now) {
		return t, nil // it will do until the new one is there, or for the rest of its life
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

// login joins the login under way or starts one, unless a pause forbids it.
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
		return landed(t), nil // another login ended between our look and the lock
	}
	// The login keeps the caller's values (trace, language) but not its deadline:
	// the first of many waiters must not fail the login for the rest.
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

// ask calls the source; a panic in it is an error for those who wait, not the end of the process.
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
		return nil, err
	case t == nil || t.AccessToken == "":
		return nil, errors.New("token source gave an empty token")
	case !headerSafe(t.Type() + t.AccessToken):
		return nil, errors.New("token holds characters that no header can carry")
	}
	return t, nil
}

// newToken decides when to refresh t. The jitter keeps a fleet that started
// together from logging in together for ever.
func (s *tokens) newToken(t *oauth2.Token, now time.Time) *token {
	k := &token{value: t, header: []string{t.Type() + " " + t.AccessToken}}
	life := t.Expiry.Sub(now)
	if t.Expiry.IsZero() || life <= 0 {
		// Unknown, or dead on arrival, which is a matter of clocks: a 401 will tell.
		return k
	}
	at := time.Duration(float64(life) * s.cfg.RefreshAt * (0.95 + 0.1*rand.Float64()))
	margin := min(5*time.Second, life/10) // time for the request to get there
	k.deadAt = now.Add(life - margin)
	k.refreshAt = now.Add(min(at, life-margin))
	return k
}

// refused drops t after a 401, unless it is no longer the current token, and
// tells whether asking for a token makes sense. It does not within a pause, nor
// if t itself came after a 401 and has never been accepted: logging in did not help.
func (s *tokens) refused(t *token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current.Load() != t:
		return true // someone else has been here; use what they got
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

// refusedAgain notes that a token fresh from login was refused.
func (s *tokens) refusedAgain(t *token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A hundred requests with one bad token are one failure.
	if s.current.Load() == t && s.doubted != t {
		s.doubt(t)
	}
}

// doubt begins a pause, under mu. Each in a row is twice as long as the one
// before; else every request against a broken server would log in once.
func (s *tokens) doubt(t *token) {
	s.doubted = t
	s.unproven++
	s.pausedTo = time.Now().Add(pause(s.cfg.MinBackoff, s.cfg.MaxBackoff, s.unproven))
}

// accepted ends such a series.
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

// pause doubles from lowest to highest; n counts from 1.
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
