package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerConfig configures when the breaker of a host opens. The zero value means the
// defaults named at each field.
type BreakerConfig struct {
	// Failures is how many failures in a row open the breaker. Default: 5.
	Failures int
	// Ratio is the part of failed requests within Window that also opens it, once Window has at least
	// MinRequests. Defaults: 0.5 of at least 20 requests in 10s.
	Ratio       float64
	MinRequests int
	Window      time.Duration
	// OpenFor is how long an open breaker rejects requests before it lets one request
	// through as a probe. Default: 10s.
	OpenFor time.Duration
	// Group returns the name of the circuit of a request. Set it if one circuit per origin (scheme, host and port)
	// is too coarse, so that a failing endpoint does not block others. The number
	// of different names should be small. Default: the origin.
	Group func(*http.Request) string
	// StateChanged is called after a breaker has changed its state: "closed", "open", "half-open".
	StateChanged func(group, from, to string)
}

// A CircuitOpenError is returned, without sending anything, while the breaker of
// a host is open. errors.Is(err, ErrCircuitOpen) holds.
type CircuitOpenError struct {
	// Group is the origin, or the name that BreakerConfig.Group returned.
	Group string
	// Probing reports whether the breaker is half-open and its one probe is running.
	Probing bool
}

func (e *CircuitOpenError) Error() string {
	if e.Probing {
		return fmt.Sprintf("circuit of %s is half-open and being probed", e.Group)
	}
	return fmt.Sprintf("circuit of %s is open", e.Group)
}

// Is makes the error match ErrCircuitOpen.
func (e *CircuitOpenError) Is(target error) bool { return target == ErrCircuitOpen }

// A Breaker is an http.RoundTripper that stops calling a host which keeps
// failing. Transport errors, timeouts and 5xx answers are failures; 4xx answers
// are not. Requests that the caller cancelled are not counted. The
// outcome is decided when the header of the answer has arrived. While the breaker is
// half-open, exactly one request at a time is let through. The states are those of
// sony/gobreaker. Its counting intervals are not used: they drop the outcome
// of requests that take longer than an interval, such as every timeout.
type Breaker struct {
	next     http.RoundTripper
	cfg      BreakerConfig
	circuits perHost[*circuit]
}

// NewBreaker returns a Breaker around next. cfg may be nil. It also works on a plain
// http.Client: &http.Client{Transport: breaker}.
func NewBreaker(next http.RoundTripper, cfg *BreakerConfig) (*Breaker, error) {
	if cfg == nil {
		cfg = &BreakerConfig{}
	}
	c := *cfg
	err := errors.Join(
		notNegative("BreakerConfig.Failures", c.Failures),
		notNegative("BreakerConfig.MinRequests", c.MinRequests),
		notNegative("BreakerConfig.Window", c.Window),
		notNegative("BreakerConfig.OpenFor", c.OpenFor),
		notNegative("BreakerConfig.Ratio", c.Ratio),
	)
	if c.Ratio > 1 {
		err = errors.Join(err, errors.New("rest: BreakerConfig.Ratio must be at most 1"))
	}
	if next == nil {
		err = errors.Join(err, errors.New("rest: NewBreaker needs a transport"))
	}
	if err != nil {
		return nil, err
	}
	c.Failures, c.MinRequests = or(c.Failures, 5), or(c.MinRequests, 20)
	c.Window, c.OpenFor, c.Ratio = or(c.Window, 10*time.Second), or(c.OpenFor, 10*time.Second), or(c.Ratio, 0.5)
	b := &Breaker{next: next, cfg: c}
	b.circuits.create = b.newCircuit
	return b, nil
}

// RoundTrip sends r unless the breaker of its host is open.
func (b *Breaker) RoundTrip(r *http.Request) (*http.Response, error) {
	var c *circuit
	if b.cfg.Group != nil {
		c = b.circuits.of(b.cfg.Group(r))
	} else {
		c = b.circuits.ofURL(r.URL)
	}
	done, err := c.allow()
	if err != nil {
		closeBody(r)
		return nil, &CircuitOpenError{Group: c.gate.Name(), Probing: errors.Is(err, gobreaker.ErrTooManyRequests)}
	}
	settled := false
	defer func() {
		if !settled { // a panic below must not keep the one probe running indefinitely
			done(errFailed)
		}
	}()
	resp, err := b.next.RoundTrip(r)
	settled = true
	done(verdict(resp, err))
	return resp, err
}

// State returns the state of the circuit named group: "closed", "open" or "half-open". If BreakerConfig.Group is nil,
// group is an origin such as "http://api.example.com:80".
func (b *Breaker) State(group string) string { return b.circuits.of(group).gate.State().String() }

var (
	errFailed   = errors.New("failed")
	errNotCount = errors.New("not counted")
)

func verdict(resp *http.Response, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ErrInvalid):
		return errNotCount // says nothing about the host
	case err != nil:
		return errFailed
	case resp.StatusCode >= 500:
		return errFailed
	}
	return nil
}

// A circuit adds two features to a gobreaker. gobreaker drops the outcome
// of a request that took longer than its counting interval, such as every
// timeout of a slow host. So it runs without an interval, and a window
// counts outcomes when they are known. And gobreaker calls back under its own
// lock, where a hook that reads the state would deadlock. So changes are queued and reported later.
type circuit struct {
	gate   *gobreaker.TwoStepCircuitBreaker[struct{}]
	recent *window
	tell   func(group, from, to string)

	// mu guards the fields below.
	mu      sync.Mutex
	changes []change
	telling bool // a goroutine is reporting changes, also those that are queued meanwhile
}

type change struct{ group, from, to string }

func (b *Breaker) newCircuit(group string) *circuit {
	cfg := b.cfg
	c := &circuit{tell: cfg.StateChanged, recent: newWindow(cfg.Window)}
	c.gate = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        group,
		MaxRequests: 1, // exactly one probe while half-open
		Timeout:     cfg.OpenFor,
		IsExcluded:  func(err error) bool { return err == errNotCount },
		ReadyToTrip: func(n gobreaker.Counts) bool {
			if int(n.ConsecutiveFailures) >= cfg.Failures {
				return true
			}
			total, failed := c.recent.counts(time.Now())
			return total >= cfg.MinRequests && float64(failed) >= cfg.Ratio*float64(total)
		},
		OnStateChange: func(name string, from, to gobreaker.State) {
			c.recent.clear()
			if c.tell == nil {
				return
			}
			c.mu.Lock()
			c.changes = append(c.changes, change{name, from.String(), to.String()})
			c.mu.Unlock()
		},
	})
	return c
}

func (c *circuit) allow() (done func(error), err error) {
	settle, err := c.gate.Allow()
	c.flush()
	if err != nil {
		return nil, err
	}
	return func(err error) {
		if err != errNotCount {
			c.recent.add(time.Now(), err != nil)
		}
		settle(err)
		c.flush()
	}, nil
}

// flush reports the changes in their order, whichever goroutine caused them.
func (c *circuit) flush() {
	if c.tell == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.changes) > 0 && !c.telling {
		changes := c.changes
		c.changes, c.telling = nil, true
		c.mu.Unlock()
		for _, ch := range changes {
			c.tell(ch.group, ch.from, ch.to)
		}
		c.mu.Lock()
		c.telling = false
	}
}

// closeBody closes the request's body, also on errors, as http.RoundTripper requires.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
