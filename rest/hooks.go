package rest

import (
	"context"
	"net/http"
	"time"
)

// Hooks are called while a client works; each may be nil. They run on the
// goroutine that does the work, must be quick, and may be called concurrently. No
// hook gets a token, a credential or a body.
type Hooks struct {
	// Attempt is called after each attempt. Each retry, each replay after a 401, each request
	// of a redirect and each login is an attempt.
	Attempt func(ctx context.Context, a Attempt)
	// Login is called after each login or token refresh, with nil if it returned a token.
	Login func(ctx context.Context, err error)
	// BadCorrelationID is called when a correlation id from the context is too long or
	// not printable ASCII, and a new one is sent instead.
	BadCorrelationID func(ctx context.Context, length int)
}

// An Attempt describes one request on the wire for a hook.
type Attempt struct {
	// Method and URL name the request; the URL is without user and secret query values.
	Method, URL string
	// Number counts the attempts of one request from 1.
	Number int
	// Status is the status of the answer, or 0 if Err is set.
	Status int
	// Err is the reason why there was no answer.
	Err error
	// Duration is the time from sending the request to the header of the answer.
	Duration time.Duration
}

// both returns a hook that calls first and then second; each may be nil.
func both(first, second func(context.Context, error)) func(context.Context, error) {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	return func(ctx context.Context, err error) {
		first(ctx, err)
		second(ctx, err)
	}
}

// attemptKey is the context key for the number of a retry; a first attempt has none.
type attemptKey struct{}

// attempts calls the hook around each request.
type attempts struct {
	next http.RoundTripper
	hook func(context.Context, Attempt)
}

func (t *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	a := Attempt{Method: r.Method, URL: redactURL(r.URL), Number: 1, Err: err, Duration: time.Since(start)}
	if n, ok := r.Context().Value(attemptKey{}).(int); ok {
		a.Number = n
	}
	if resp != nil {
		a.Status = resp.StatusCode
	}
	t.hook(r.Context(), a)
	return resp, err
}
