package rest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// TransportConfig sets the limits of the connections of a Client. The zero
// value means the defaults named at each field.
type TransportConfig struct {
	// DialTimeout limits name lookup and connecting. Default: 5s.
	DialTimeout time.Duration
	// TLSTimeout limits the TLS handshake. Default: 5s.
	TLSTimeout time.Duration
	// HeaderTimeout limits the wait for the header of an answer after the request
	// is written. Default: 15s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept. Default: 90s.
	IdleTimeout time.Duration
	// IdlePerHost is how many unused connections are kept per host. Default: 64.
	IdlePerHost int
	// ConnsPerHost limits the connections per host; calls wait for one. Default: no limit.
	ConnsPerHost int
	// MaxHeaderBytes limits the header of an answer. Default: 256 KiB.
	MaxHeaderBytes int64
	// Proxy returns a proxy, as http.ProxyFromEnvironment does. Default: none; the
	// environment does not redirect the traffic between services by default.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is the TLS configuration. Default: TLS 1.2 and later, the system's roots.
	TLS *tls.Config
	// DenyPrivate refuses connections to loopback, private, link-local and other
	// addresses that are not public. It checks the address after
	// name lookup, so a name that resolves to such an address is refused as well.
	// Set it when hosts come from users. It cannot check addresses behind a Proxy.
	DenyPrivate bool
}

// NewTransport returns the http.Transport that a Client uses if Config.Transport
// is nil. cfg may be nil.
func NewTransport(cfg *TransportConfig) (*http.Transport, error) {
	if cfg == nil {
		cfg = &TransportConfig{}
	}
	var errs []error
	for name, d := range map[string]time.Duration{
		"DialTimeout": cfg.DialTimeout, "TLSTimeout": cfg.TLSTimeout,
		"HeaderTimeout": cfg.HeaderTimeout, "IdleTimeout": cfg.IdleTimeout,
	} {
		errs = append(errs, notNegative("TransportConfig."+name, d))
	}
	errs = append(errs,
		notNegative("TransportConfig.IdlePerHost", cfg.IdlePerHost),
		notNegative("TransportConfig.ConnsPerHost", cfg.ConnsPerHost),
		notNegative("TransportConfig.MaxHeaderBytes", cfg.MaxHeaderBytes))
	if cfg.TLS != nil && cfg.TLS.InsecureSkipVerify && cfg.TLS.VerifyConnection == nil && cfg.TLS.VerifyPeerCertificate == nil {
		errs = append(errs, errors.New("rest: TransportConfig.TLS must not skip verification (add the server's CA to RootCAs)"))
	}
	if cfg.DenyPrivate && cfg.Proxy != nil {
		errs = append(errs, errors.New("rest: TransportConfig.DenyPrivate cannot check addresses behind a Proxy (set one of them)"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: or(cfg.DialTimeout, 5*time.Second), KeepAlive: 30 * time.Second}
	if cfg.DenyPrivate {
		dialer.Control = denyPrivate
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		tlsConfig = cfg.TLS.Clone()
		tlsConfig.MinVersion = max(tlsConfig.MinVersion, tls.VersionTLS12)
	}
	idle := or(cfg.IdlePerHost, 64)
	return &http.Transport{
		Proxy:                  cfg.Proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    or(cfg.TLSTimeout, 5*time.Second),
		ResponseHeaderTimeout:  or(cfg.HeaderTimeout, 15*time.Second),
		IdleConnTimeout:        or(cfg.IdleTimeout, 90*time.Second),
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           4 * idle,
		MaxIdleConnsPerHost:    idle,
		MaxConnsPerHost:        cfg.ConnsPerHost,
		MaxResponseHeaderBytes: or(cfg.MaxHeaderBytes, 256<<10),
		ForceAttemptHTTP2:      true,
		// A single stalled HTTP/2 connection would block every call to the host.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}, nil
}

// notPublic are ranges that netip's own methods do not cover: carrier-grade
// NAT, "this network", benchmarking, protocol assignments, documentation, reserved, NAT64, 6to4.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001:db8::/32"),
}

// denyPrivate runs after name lookup and before connect, so no second
// lookup can return another address.
func denyPrivate(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return invalid("address %q: %w", address, err)
	}
	ip := ap.Addr().Unmap().WithZone("")
	deny := !ip.IsGlobalUnicast() || ip.IsPrivate()
	for _, p := range notPublic {
		deny = deny || p.Contains(ip)
	}
	if deny {
		return invalid("address %s is not public", ip)
	}
	return nil
}

func or[T comparable](v, preset T) T {
	var zero T
	if v == zero {
		return preset
	}
	return v
}

func notNegative[N int | int64 | time.Duration | float64](name string, v N) error {
	if v < 0 {
		return fmt.Errorf("rest: %s must not be negative", name)
	}
	return nil
}
