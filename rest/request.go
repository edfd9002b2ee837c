package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// newRequest returns the request of a call. Its errors match ErrInvalid.
func (c *Client) newRequest(ctx context.Context, method, path string, cl *call) (*http.Request, error) {
	u, err := c.target(path, cl)
	if err != nil {
		return nil, err
	}
	if v, ok := cl.header["Authorization"]; cl.noAuth || ok && v[0] == "" {
		ctx = withoutAuth(ctx)
	}
	if method == "" || strings.IndexFunc(method, notInToken) >= 0 {
		return nil, invalid("method %q is invalid", method)
	}
	r := (&http.Request{
		Method: method, URL: u, Host: u.Host, Header: make(http.Header, 6),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	c.decorate(ctx, r.Header)
	if err := cl.setHeaders(r.Header); err != nil {
		return nil, err
	}
	body, err := encodeBody(cl.body, cl.request)
	if err != nil {
		return nil, invalid("%w", err)
	}
	if body != nil {
		body.attach(r)
	}
	return r, nil
}

// target returns the URL of a call: host, path and parameters.
func (c *Client) target(path string, cl *call) (*url.URL, error) {
	base := c.base
	if cl.host != "" {
		var err error
		if base, err = parseHost(cl.host); err != nil {
			return nil, invalid("host %w", err)
		}
		if !slices.Contains(c.origins, origin(base)) {
			return nil, invalid("host %q is not in Config.ExtraHosts or Config.TrustedHosts", redactURL(base))
		}
	}
	u, err := joinURL(base, path)
	if err != nil {
		return nil, invalid("path %w", err)
	}
	for _, p := range cl.params {
		query, err := encodeQuery(p, cl.request)
		if err != nil {
			return nil, invalid("encode parameters: %w", err)
		}
		switch {
		case u.RawQuery == "":
			u.RawQuery = query
		case query != "":
			u.RawQuery += "&" + query
		}
	}
	return u, nil
}

// setHeaders sets the headers of the call, which override those of the client.
func (cl *call) setHeaders(h http.Header) error {
	for name, values := range cl.header {
		for _, value := range values {
			if err := checkHeader(name, value); err != nil {
				return invalid("header %w", err)
			}
			if value == "" {
				// net/http repeats requests with an empty Idempotency-Key.
				if name == idempotencyHeader {
					return invalid("the idempotency key is empty")
				}
				delete(h, name)
				continue
			}
			h[name] = values
		}
	}
	return nil
}

// checkHeader refuses headers that are invalid or belong to the transport.
// The value is not shown: it may be a secret.
func checkHeader(name, value string) error {
	if name == "" || strings.IndexFunc(name, notInToken) >= 0 {
		return fmt.Errorf("%q: not a header name", name)
	}
	if !headerSafe(value) {
		return fmt.Errorf("%q: the value holds a line break or another control character", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host":
		return fmt.Errorf("%q: use rest.Host", name)
	case "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
		return fmt.Errorf("%q: only the transport may set it", name)
	}
	return nil
}

// notInToken is the inverse of tchar in RFC 9110 section 5.6.2.
func notInToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

// shownURL names the call in an error if there is no URL yet, because the path
// or the host is wrong. It returns the given texts, without possible secrets.
func (c *Client) shownURL(path string, cl *call) string {
	path, _, _ = strings.Cut(path, "?")
	host := redactURL(c.base)
	if cl.host != "" {
		host = redactHost(cl.host)
	}
	return strings.TrimSuffix(host, "/") + "/" + strings.TrimPrefix(path, "/")
}

// redactHost returns a configured host without a user and a query.
func redactHost(host string) string {
	host, _, _ = strings.Cut(host, "?")
	if scheme, rest, ok := strings.Cut(host, "://"); ok {
		return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return host[strings.LastIndexByte(host, '@')+1:]
}
