package rest

import (
	"context"
	"net/http"
	"time"
)

// Hooks are called while a client works; each may be nil. They run on the
// goroutine that does the work, must be quick, and may be called by several at once. No
// hook sees a token, a credential or a body.
type Hooks struct {
	// Attempt is called after each attempt: each retry, each replay after a 401, each hop
	// of a redirect and each login is one.
	Attempt func(ctx context.Context, a Attempt)
	// Login is called after each login or token refresh, with nil if it gave a token.
	Login func(ctx context.Context, err error)
	// BadCorrelationID is called when a correlation id from the context is too long or
	// not printable ASCII, and a new one is sent in its place.
	BadCorrelationID func(ctx context.Context, length int)
}

// An Attempt is one request on the wire, as a hook sees it.
type Attempt struct {
	// Method and URL; the URL is without user and secret query values.
	Method, URL string
	// Number counts the attempts of one request from 1.
	Number int
	// Status is the status of the answer, 0 if Err is set.
	Status int
	// Err is why there was no answer.
	Err error
	// Duration runs from sending to the header of the answer.
	Duration time.Duration
}

// attemptKey carries the number of a retry; a first attempt goes without.
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
