package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A Client calls one API, and other configured hosts. Create one per API with
// New and share it: it may be used by many goroutines, which then share its connections,
// token, breakers and retry budget.
type Client struct {
	cfg    Config
	base   *url.URL
	header http.Header // sent with every request

	origins []string // the allowed hosts
	http    *http.Client
	auth    *Auth           // nil without tokens
	own     *http.Transport // nil if Config.Transport is set
}

// New returns a Client. It opens no connection and starts no goroutine; the first call
// that needs a token logs in. The error lists all mistakes in cfg.
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
// valid token. Auth is above the breaker, so the host of
// the login has a circuit of its own.
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
		h[http.CanonicalHeaderKey(name)] = slices.Clip(slices.Clone(values)) // shared by all requests, so an append must copy
	}
	return h
}

// HTTPClient returns a plain http.Client with the retries, tokens and breakers of the
// Client. It follows redirects like the Client.
// It does not limit time or size: the caller must do that.
func (c *Client) HTTPClient() *http.Client {
	plain := *c.http
	return &plain
}

// Close ends a running login and closes idle connections.
// Running calls continue; call Close when they are done. It returns nil.
func (c *Client) Close() error {
	if c.auth != nil {
		_ = c.auth.Close() // always nil
	}
	c.http.CloseIdleConnections()
	if c.own != nil {
		c.own.CloseIdleConnections() // Retrier and the other round trippers do not forward this call
	}
	return nil
}

// decorate adds the headers of every request to h.
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
