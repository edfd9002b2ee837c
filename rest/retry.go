package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryConfig configures how often and when a request is repeated. The zero
// value means the defaults named at each field.
type RetryConfig struct {
	// MaxRetries is how often one request is repeated at most; a negative value means never. Default: 3.
	MaxRetries int
	// BaseDelay and MaxDelay limit the random delay before a retry. The first delay is up to
	// BaseDelay, each later one up to twice the limit before, never more than MaxDelay. Defaults:
	// 200ms and 5s.
	BaseDelay, MaxDelay time.Duration
	// MaxRetryAfter is the longest accepted Retry-After. A longer one ends
	// the retries, and the answer is returned. Default: 60s.
	MaxRetryAfter time.Duration
	// BudgetRatio is how many retries a host gets per request, and BudgetBurst how many
	// in addition. When a host is down, retries stay a small part of the traffic
	// instead of multiplying it. Defaults: 0.1 and 10.
	BudgetRatio float64
	BudgetBurst int
	// TrustRetryAfter repeats requests of every method after a 503 with Retry-After.
	// Set it for servers that send it only before they begin to work. Without
	// it such a POST is not repeated, because a gateway may answer 503 for work that was done.
	TrustRetryAfter bool
}

// A Retrier is an http.RoundTripper that repeats requests if that is safe:
//
//   - the request's method is idempotent (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) or it has
//     an Idempotency-Key header, and the connection failed or the answer is 429, 502, 503 or 504;
//   - for any method, nothing was sent because no connection was established,
//     or the server refused by 429 with Retry-After.
//
// It also requires that the body can be sent again (http.Request.GetBody), the host's
// budget allows it, and the delay ends before the deadline of the context.
type Retrier struct {
	next    http.RoundTripper
	cfg     RetryConfig
	budgets perHost[*budget]
}

// NewRetrier returns a Retrier around next. cfg may be nil. It also works on a plain
// http.Client: &http.Client{Transport: retrier}.
func NewRetrier(next http.RoundTripper, cfg *RetryConfig) (*Retrier, error) {
	if cfg == nil {
		cfg = &RetryConfig{}
	}
	c := *cfg
	err := errors.Join(
		notNegative("RetryConfig.BaseDelay", c.BaseDelay),
		notNegative("RetryConfig.MaxDelay", c.MaxDelay),
		notNegative("RetryConfig.MaxRetryAfter", c.MaxRetryAfter),
		notNegative("RetryConfig.BudgetRatio", c.BudgetRatio),
		notNegative("RetryConfig.BudgetBurst", c.BudgetBurst),
	)
	if next == nil {
		err = errors.Join(err, errors.New("rest: NewRetrier needs a transport"))
	}
	if err != nil {
		return nil, err
	}
	c.MaxRetries = max(0, or(c.MaxRetries, 3))
	c.BaseDelay, c.MaxDelay = or(c.BaseDelay, 200*time.Millisecond), or(c.MaxDelay, 5*time.Second)
	c.MaxDelay = max(c.MaxDelay, c.BaseDelay)
	c.MaxRetryAfter = or(c.MaxRetryAfter, time.Minute)
	c.BudgetRatio, c.BudgetBurst = or(c.BudgetRatio, 0.1), or(c.BudgetBurst, 10)
	t := &Retrier{next: next, cfg: c}
	t.budgets.create = func(string) *budget { return newBudget(c.BudgetRatio, c.BudgetBurst) }
	return t, nil
}

// RoundTrip sends r, and repeats it if that is safe.
func (t *Retrier) RoundTrip(r *http.Request) (*http.Response, error) {
	b := t.budgets.ofURL(r.URL)
	b.deposit()
	resp, err := t.next.RoundTrip(r)
	if !t.repeatable(r, resp, err) {
		return resp, err
	}
	delays := t.delays()
	for retry := 1; retry <= t.cfg.MaxRetries; retry++ {
		wait, ok := t.wait(delays.NextBackOff(), resp)
		if !ok || !fitsDeadline(r.Context(), wait) || !b.withdraw() {
			break
		}
		again, rewindErr := rewind(r, retry)
		if rewindErr != nil {
			break
		}
		discard(resp)
		if cause := sleep(r.Context(), wait); cause != nil {
			closeBody(again)
			return nil, cause
		}
		resp, err = t.next.RoundTrip(again)
		if !t.repeatable(r, resp, err) {
			break
		}
	}
	return resp, err
}

// repeatable reports whether sending r again is safe after the given outcome.
func (t *Retrier) repeatable(r *http.Request, resp *http.Response, err error) bool {
	if r.Context().Err() != nil || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	safe := idempotent(r)
	if err != nil {
		return neverSent(err) || safe && transient(err)
	}
	asked := resp.Header.Get("Retry-After") != ""
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return safe || asked
	case http.StatusServiceUnavailable:
		return safe || asked && t.cfg.TrustRetryAfter
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return safe
	}
	return false
}

// idempotent reports whether a request may be repeated by RFC 9110 section 9.2.2, or by the headers that
// net/http itself accepts as the caller's permission.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// neverSent reports whether the error occurred before a connection was established. A name that does
// not exist is a mistake, not an outage, so it is not retried. A call without a
// token is not retried either: the login has its own retries and backoff.
func neverSent(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrLogin)
}

// transient reports whether the next attempt may succeed. Errors of this package and
// bad certificates are not transient.
func transient(err error) bool {
	if errors.Is(err, ErrInvalid) || errors.Is(err, ErrCircuitOpen) || errors.Is(err, ErrLogin) || errors.Is(err, context.Canceled) {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	_, badCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, badHost := errors.AsType[x509.HostnameError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	// net/http has no error values for requests that it refuses before it dials.
	local := strings.HasPrefix(err.Error(), "net/http: invalid") || strings.Contains(err.Error(), "unsupported protocol scheme")
	return !badCert && !badHost && !alert && !local
}

// delays returns delays with full jitter: uniform between zero and a limit
// that doubles. The library is configured for it: half of the limit, randomized by 100 %. Its
// loop, backoff.Retry, is not used: the decision to retry depends on the
// answer, the budget and the deadline together.
func (t *Retrier) delays() *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{
		InitialInterval:     max(t.cfg.BaseDelay/2, 1),
		MaxInterval:         max(t.cfg.MaxDelay/2, 1),
		Multiplier:          2,
		RandomizationFactor: 1,
	}
	b.Reset()
	return b
}

// wait returns delay, or the server's Retry-After plus jitter if that is longer; the jitter
// spreads the retries of many clients. It returns false if Retry-After
// exceeds MaxRetryAfter.
func (t *Retrier) wait(delay time.Duration, resp *http.Response) (time.Duration, bool) {
	if resp == nil {
		return delay, true
	}
	asked := retryAfter(resp.Header, time.Now())
	if asked > t.cfg.MaxRetryAfter {
		return 0, false
	}
	if asked > delay {
		return asked + rand.N(t.cfg.BaseDelay), true
	}
	return delay, true
}

// retryAfter parses both forms of the header (RFC 9110 section 10.2.3). It returns 0 if
// the header is absent, invalid or in the past.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if strings.Trim(v, "0123456789") == "" {
		seconds, err := strconv.ParseInt(v, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}

// maxRetryAfter is the limit for an absurd Retry-After.
const maxRetryAfter = 365 * 24 * time.Hour

func fitsDeadline(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > wait
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rewind returns the request to send again; retry counts from 1.
func rewind(r *http.Request, retry int) (*http.Request, error) {
	again := r.WithContext(context.WithValue(r.Context(), attemptKey{}, retry+1))
	if r.Body == nil || r.Body == http.NoBody {
		return again, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	again.Body = body
	return again, nil
}

// drainBytes is how much of an unwanted body is read so that its connection can
// be reused; for more, a new connection is cheaper.
const drainBytes = 64 << 10

// discard releases resp's connection.
func discard(resp *http.Response) {
	if resp == nil || resp.Body == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, drainBytes)
	_ = resp.Body.Close()
}
