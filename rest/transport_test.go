package rest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestDenyPrivateLooksAtTheAddressConnectedTo(t *testing.T) {
	var arrived atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { arrived.Add(1); answer(w, 200, "1") })
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:" + u.Port(), "localhost:" + u.Port(), "[::1]:" + u.Port(), "[::ffff:127.0.0.1]:" + u.Port(), "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0:" + u.Port(), "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]"} {
		c := client(t, rest.Config{Host: "http://" + host, Connections: rest.TransportConfig{DenyPrivate: true}})
		if err := get(t, c); !errors.Is(err, rest.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", host, err)
		}
	}
	if arrived.Load() != 0 {
		t.Errorf("%d requests arrived", arrived.Load())
	}
}

func TestTheEnvironmentDoesNotRedirectTraffic(t *testing.T) {
	transport, err := rest.NewTransport(nil)
	if err != nil || transport.Proxy != nil || transport.MaxIdleConnsPerHost != 64 || transport.TLSClientConfig.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v, %v", transport, err)
	}
	with, err := rest.NewTransport(&rest.TransportConfig{Proxy: http.ProxyFromEnvironment, TLS: &tls.Config{MinVersion: tls.VersionTLS13}})
	if err != nil || with.Proxy == nil || with.TLSClientConfig.MinVersion != tls.VersionTLS13 {
		t.Errorf("%+v, %v", with, err)
	}
	for _, cfg := range []rest.TransportConfig{
		{TLS: &tls.Config{InsecureSkipVerify: true}}, {DenyPrivate: true, Proxy: http.ProxyFromEnvironment}, {IdlePerHost: -1}, {HeaderTimeout: -1},
	} {
		if _, err := rest.NewTransport(&cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
}

func TestACertificateThatIsWrongIsNotTriedAgain(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "1") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake is expected
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	var attempts atomic.Int64
	hooks := rest.Hooks{Attempt: func(context.Context, rest.Attempt) { attempts.Add(1) }}
	err := get(t, client(t, rest.Config{Host: s.URL, Hooks: hooks}))
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || attempts.Load() != 1 {
		t.Errorf("%v after %d attempts", err, attempts.Load())
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := client(t, rest.Config{Host: s.URL, Connections: rest.TransportConfig{TLS: &tls.Config{RootCAs: roots}}})
	r, err := rest.Get[*rest.Response](t.Context(), c, "x")
	if err != nil || r.Status != 200 {
		t.Errorf("with the server's root: %v", err)
	}
}
