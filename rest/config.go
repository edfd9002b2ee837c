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

// Config says whom a Client talks to and how. Only Host is required; the zero
// value of every other field gives the default named there.
type Config struct {
	// Host is scheme, host, optional port and base path: "https://api.example.com",
	// "http://10.0.0.5:8000/base/". With or without a trailing slash.
	Host string

	// AuthURL is where Credential is sent to log in: a path on Host, or a whole URL.
	AuthURL string
	// Credential is the body of the login, a struct or a map.
	Credential any
	// Username and Password make the credential {"username": …, "password": …}.
	Username, Password string
	// TokenSource gives the tokens instead of AuthURL and a credential; ClientCredentials
	// makes one. Default: no tokens, unless AuthURL is set.
	TokenSource oauth2.TokenSource
	// Login are choices of the login at AuthURL.
	Login LoginConfig
	// Auth tells how tokens are kept.
	Auth AuthConfig

	// ExtraHosts are the other hosts that the option Host may name. They get no token.
	ExtraHosts []string
	// TrustedHosts are other hosts as well, and get the token of this client.
	TrustedHosts []string

	// Timeout bounds each call, retries, login and reading the answer included. Default: 30s.
	Timeout time.Duration
	// MaxBytes bounds the body of an answer, after decompression. Default: 8 MiB.
	MaxBytes int64
	// MaxKeys bounds the keys in a JSON answer. Default: 100,000.
	MaxKeys int

	// Language is sent as Accept-Language, unless WithLanguage says otherwise. Default: none.
	Language string
	// CorrelationID takes the id of the work under way from the context, such as
	// parley.CorrelationID; WithCorrelationID wins over it. Default: none.
	CorrelationID func(context.Context) string
	// CorrelationHeader is the header that carries the id. Default: X-Correlation-ID.
	CorrelationHeader string
	// UserAgent is sent as User-Agent. Default: parley-rest.
	UserAgent string
	// Header is sent with every call, logins included, to every host: no place for secrets.
	Header http.Header

	// RequestFormatter makes bodies and parameters. Default: CamelCase.
	RequestFormatter RequestFormatter
	// ResponseFormatter makes results. Default: SnakeCase.
	ResponseFormatter ResponseFormatter

	// Retry tells how often and how patiently calls are repeated.
	Retry RetryConfig
	// Breaker tells when a host counts as down.
	Breaker BreakerConfig
	// Connections are the limits of the client's own transport.
	Connections TransportConfig
	// Transport replaces the client's own transport; Connections is then of no
	// effect. otelhttp.NewTransport(base) fits, with a base from NewTransport.
	Transport http.RoundTripper

	// Hooks are called while the client works.
	Hooks Hooks
}

// String names the host only: a Config in a log must not show a password.
func (c Config) String() string {
	if u, err := url.Parse(c.Host); err == nil {
		return "rest.Config{Host: " + u.Redacted() + "}"
	}
	return "rest.Config{}"
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// withDefaults checks what is a matter of single fields and fills in the rest.
func (c Config) withDefaults() (Config, error) {
	errs := []error{
		notNegative("Config.Timeout", c.Timeout),
		notNegative("Config.MaxBytes", c.MaxBytes),
		notNegative("Config.MaxKeys", c.MaxKeys),
	}
	c.Timeout, c.MaxBytes = or(c.Timeout, 30*time.Second), or(c.MaxBytes, 8<<20)
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
	if c.Auth.Login == nil {
		c.Auth.Login = c.Hooks.Login
	}
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

// tokenSource is the one that the configuration asks for; nil for none.
func (c *Client) tokenSource(login *http.Client) (oauth2.TokenSource, error) {
	cfg := &c.cfg
	credential, named := cfg.Credential, cfg.Username != "" || cfg.Password != ""
	switch {
	case cfg.TokenSource != nil && (credential != nil || named || cfg.AuthURL != ""):
		return nil, errors.New("rest: Config has both a TokenSource and a login; choose one")
	case cfg.TokenSource != nil:
		return cfg.TokenSource, nil
	case credential != nil && named:
		return nil, errors.New("rest: Config has both a Credential and Username or Password; choose one")
	case named:
		credential = map[string]string{"username": cfg.Username, "password": cfg.Password}
	}
	switch {
	case credential == nil && cfg.AuthURL == "":
		return nil, nil
	case cfg.AuthURL == "":
		return nil, errors.New("rest: Config has a credential but no AuthURL to send it to")
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
		return "", errors.New("cannot be told without a Host")
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
