package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A Client calls one API, and others that it was told of. Make one per API with
// New and share it: it may be used by many goroutines, and its connections,
// token, breakers and retry budget are worth sharing.
type Client struct {
	cfg    Config
	base   *url.URL
	header http.Header // what every request carries

	origins []string // the hosts that calls may go to
	http    *http.Client
	auth    *Auth           // nil without tokens
	own     *http.Transport // nil if Config.Transport is set
}

// New makes a Client. It connects to nothing and starts nothing; the first call
// that needs a token logs in. The error names all mistakes in cfg.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	errs := []error{err}
	c := &Client{cfg: cfg, header: baseHeader(&cfg)}
	trusted := []string{cfg.Host}
	if c.base, err = parseHost(cfg.Host); err != nil {
		errs = append(errs, fmt.Errorf("rest: Config.Host %w", err))
	} else {
		c.origins = append(c.origins, origin(c.base))
	}
	for _, h := range slices.Concat(cfg.ExtraHosts, cfg.TrustedHosts) {
		u, err := parseHost(h)
		if err != nil {
			errs = append(errs, fmt.Errorf("rest: Config.ExtraHosts or TrustedHosts: %q %w", redactHost(h), err))
			continue
		}
		c.origins = append(c.origins, origin(u))
	}
	errs = append(errs, c.build(append(trusted, cfg.TrustedHosts...)))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// build stacks the round trippers. Retries are outermost, so that each has a
// token that is good then; Auth is above the breaker, which so judges the host of
// the login by its own.
func (c *Client) build(trusted []string) error {
	transport := c.cfg.Transport
	if transport == nil {
		own, err := NewTransport(&c.cfg.Connections)
		if err != nil {
			return err
		}
		c.own, transport = own, own
	}
	if c.cfg.Hooks.Attempt != nil {
		transport = &attempts{next: transport, hook: c.cfg.Hooks.Attempt}
	}
	breaker, err := NewBreaker(transport, &c.cfg.Breaker)
	if err != nil {
		return err
	}
	login, err := NewRetrier(breaker, &c.cfg.Retry)
	if err != nil {
		return err
	}
	source, err := c.tokenSource(&http.Client{Transport: login})
	if err != nil {
		return err
	}
	var stack http.RoundTripper = breaker
	if source != nil && c.base != nil {
		if c.auth, err = NewAuth(breaker, source, trusted, &c.cfg.Auth); err != nil {
			return err
		}
		stack = c.auth
	}
	retrier, err := NewRetrier(stack, &c.cfg.Retry)
	if err != nil {
		return err
	}
	c.http = &http.Client{Transport: retrier, CheckRedirect: checkRedirect}
	return nil
}

func baseHeader(cfg *Config) http.Header {
	h := http.Header{"Accept": {"application/json"}, "User-Agent": {cfg.UserAgent}}
	for name, values := range cfg.Header {
		h[http.CanonicalHeaderKey(name)] = slices.Clip(slices.Clone(values)) // shared by all requests: an append must copy
	}
	return h
}

// HTTPClient gives the stack of retries, tokens and breakers below the client, for
// code that wants a plain http.Client. It follows redirects as the Client does.
// It has no limit on time or size: those are the caller's then.
func (c *Client) HTTPClient() *http.Client {
	plain := *c.http
	return &plain
}

// Close ends a login under way and closes connections that are not in use.
// Calls under way go on; call it when they are done. It returns nil.
func (c *Client) Close() error {
	if c.auth != nil {
		_ = c.auth.Close() // always nil
	}
	c.http.CloseIdleConnections()
	if c.own != nil {
		c.own.CloseIdleConnections() // Retrier and the rest do not pass it down
	}
	return nil
}

// decorate adds what every request carries to h.
func (c *Client) decorate(ctx context.Context, h http.Header) {
	for name, values := range c.header {
		if _, ok := h[name]; !ok {
			h[name] = values
		}
	}
	if language := c.language(ctx); language != "" {
		h.Set("Accept-Language", language)
	}
	if id := c.correlationID(ctx); id != "" {
		h.Set(c.cfg.CorrelationHeader, id)
	}
}
