package rest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Config configures a Client. Only Host is required; the zero
// value of every other field means the default named there.
type Config struct {
	// Host is scheme, host, optional port and base path: "https://api.example.com",
	// "http://10.0.0.5:8000/base/". A trailing slash is optional.
	Host string

	// AuthURL is where Credential is sent to log in: a path on Host, or a whole URL.
	AuthURL string
	// Credential is the body of the login, a struct or a map.
	Credential any
	// Username and Password set the credential {"username": …, "password": …}.
	Username, Password string
	// TokenSource returns the tokens instead of AuthURL and a credential; ClientCredentials
	// creates one. Default: no tokens, unless AuthURL is set.
	TokenSource oauth2.TokenSource
	// Login configures the login at AuthURL.
	Login LoginConfig
	// Auth configures the handling of tokens.
	Auth AuthConfig

	// ExtraHosts are other hosts that the option Host may name. They get no token.
	ExtraHosts []string
	// TrustedHosts are also other hosts, which get the token of this client.
	TrustedHosts []string

	// Timeout limits each call, including retries, login and reading the answer. Default: 30s.
	Timeout time.Duration
	// MaxBytes limits the body of an answer, after decompression. Default: 8 MiB.
	MaxBytes int64
	// MaxKeys limits the keys in a JSON answer. Default: 100,000.
	MaxKeys int

	// Language is sent as Accept-Language; WithLanguage overrides it. Default: none.
	Language string
	// CorrelationID returns the correlation id of the context, such as
	// parley.CorrelationID; WithCorrelationID overrides it. Default: none.
	CorrelationID func(context.Context) string
	// CorrelationHeader is the header of the id. Default: X-Correlation-ID.
	CorrelationHeader string
	// UserAgent is sent as User-Agent. Default: parley-rest.
	UserAgent string
	// Header is sent with every call, including logins, to every host: do not put secrets in it.
	Header http.Header

	// RequestFormatter encodes bodies and parameters. Default: CamelCase.
	RequestFormatter RequestFormatter
	// ResponseFormatter decodes results. Default: SnakeCase.
	ResponseFormatter ResponseFormatter

	// Retry configures how often and when calls are repeated.
	Retry RetryConfig
	// Breaker configures when the breaker of a host opens.
	Breaker BreakerConfig
	// Connections are the limits of the client's own transport.
	Connections TransportConfig
	// Transport replaces the client's own transport; Connections is then ignored.
	// otelhttp.NewTransport(base) works, with a base from NewTransport.
	Transport http.RoundTripper

	// Hooks are called while the client works.
	Hooks Hooks
}

// String returns the host only: a Config in a log must not show a password.
func (c Config) String() string {
	if u, err := url.Parse(c.Host); err == nil {
		return "rest.Config{Host: " + u.Redacted() + "}"
	}
	return "rest.Config{}"
}

// GoString returns String.
func (c Config) GoString() string { return c.String() }

// withDefaults checks single fields and sets defaults.
func (c Config) withDefaults() (Config, error) {
	errs := []error{
		notNegative("Config.Timeout", c.Timeout),
		notNegative("Config.MaxBytes", c.MaxBytes),
		notNegative("Config.MaxKeys", c.MaxKeys),
	}
	c.Timeout, c.MaxBytes = or(c.Timeout, 30*time.Second), min(or(c.MaxBytes, 8<<20), largestLimit)
	c.CorrelationHeader = or(c.CorrelationHeader, "X-Correlation-ID")
	c.UserAgent = or(c.UserAgent, "parley-rest")
	if c.RequestFormatter == nil {
		c.RequestFormatter = CamelCase
	}
	if c.ResponseFormatter == nil {
		c.ResponseFormatter = SnakeCase
	}
	if c.Login.Format == nil {
		c.Login.Format = c.RequestFormatter
	}
	c.Auth.Login = both(c.Auth.Login, c.Hooks.Login)
	if err := checkHeader(c.CorrelationHeader, ""); err != nil {
		errs = append(errs, fmt.Errorf("rest: Config.CorrelationHeader: %w", err))
	}
	if err := checkHeader("User-Agent", c.UserAgent); err != nil {
		errs = append(errs, fmt.Errorf("rest: Config.UserAgent: %w", err))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		for _, value := range c.Header[name] {
			if err := checkHeader(name, value); err != nil {
				errs = append(errs, fmt.Errorf("rest: Config.Header: %w", err))
			}
		}
	}
	return c, errors.Join(errs...)
}

// tokenSource returns the configured token source, or nil without one.
func (c *Client) tokenSource(login *http.Client) (oauth2.TokenSource, error) {
	cfg := &c.cfg
	credential, named := cfg.Credential, cfg.Username != "" || cfg.Password != ""
	switch {
	case cfg.TokenSource != nil && (credential != nil || named || cfg.AuthURL != ""):
		return nil, errors.New("rest: Config has both a TokenSource and a login (set one of them)")
	case cfg.TokenSource != nil:
		return cfg.TokenSource, nil
	case credential != nil && named:
		return nil, errors.New("rest: Config has both a Credential and Username or Password (set one of them)")
	case named:
		credential = map[string]string{"username": cfg.Username, "password": cfg.Password}
	}
	switch {
	case credential == nil && cfg.AuthURL == "":
		return nil, nil
	case cfg.AuthURL == "":
		return nil, errors.New("rest: Config has a credential but no AuthURL (set AuthURL)")
	case credential == nil:
		return nil, errors.New("rest: Config.AuthURL needs a Credential, or Username and Password")
	}
	target, err := c.authURL()
	if err != nil {
		return nil, fmt.Errorf("rest: Config.AuthURL %w", err)
	}
	source, err := NewLogin(login, target, credential, &cfg.Login)
	if err != nil {
		return nil, err
	}
	source.decorate = c.decorate
	return source, nil
}

func (c *Client) authURL() (string, error) {
	if c.base == nil {
		return "", errors.New("needs a Host")
	}
	lower := strings.ToLower(c.cfg.AuthURL)
	if strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
		return c.cfg.AuthURL, nil
	}
	u, err := joinURL(c.base, c.cfg.AuthURL)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}
