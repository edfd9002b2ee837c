//go:build unix

package faulttests_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// An operator fixes a wrong login, virtual host or certificate. Until then the relay dials seldom and the log
// stays short. After the repair the relay recovers without a restart.
func TestABrokerThatRejectsTheLoginIsDialledSeldomAndUsedAfterItsRepair(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	user := func(name string) string { return strings.Replace(s.url, "//faults:", "//"+name+":", 1) }
	t.Run("login", func(t *testing.T) {
		t.Parallel()
		l := newLabOn(t, testenv.Postgres(t), s.url, 1)
		l.refusedUntil("a login that is refused", user("late"), nil, func() {
			s.control("add_user", "late", canary)
			s.control("set_permissions", "-p", "/", "late", ".*", ".*", ".*")
		})
	})
	t.Run("virtual host", func(t *testing.T) {
		t.Parallel()
		s.control("add_user", "guest2", canary)
		l := newLabOn(t, testenv.Postgres(t), s.url, 1)
		l.broker = s.url + "late"
		l.refusedUntil("a virtual host that is missing", user("guest2")+"late", nil, func() {
			s.control("add_vhost", "late")
			s.control("set_permissions", "-p", "late", "faults", ".*", ".*", ".*")
			l.declare() // before the relay may log in, because unroutable events are dropped
			s.control("set_permissions", "-p", "late", "guest2", ".*", ".*", ".*")
		})
	})
	t.Run("certificate", func(t *testing.T) {
		t.Parallel()
		l := newLabOn(t, testenv.Postgres(t), s.url, 1)
		address, trust, renew := secured(t, s.url)
		l.refusedUntil("a certificate that has expired", address, trust, renew)
	})
}

// refusedUntil runs a relay with an address that rejects its login until repair was called.
func (l *lab) refusedUntil(name, address string, trust *tls.Config, repair func()) {
	l.t.Helper()
	proxy, address := through(l.t, address)
	var out lockedBuffer
	relay := l.relay(l.database, address, func(_ *parley.RelayConfig, c *rabbitmq.Config) {
		c.TLS, c.Logger = trust, slog.New(slog.NewTextHandler(&out, nil))
	})
	l.produce(200)
	tries := func(n int) func() bool { return func() bool { return proxy.Count(faultproxy.Connected) >= n } }
	eventually(l.t, "the relay dials", tries(1))
	begin := time.Now()
	eventually(l.t, "the relay dials twice more", tries(3))
	if took := time.Since(begin); took < 5*time.Second { // a busy machine may see the first dial late
		l.t.Errorf("two more dials within %v, want at least 5 s before each", took)
	}
	if text := out.String(); strings.Count(text, "level=ERROR") != 1 || strings.Contains(text, "level=WARN") || strings.Contains(text, canary) {
		l.t.Errorf("want one error, no warning and no password in the log:\n%s", text)
	}
	if state := relay.state(); state == parley.RelayActive {
		l.t.Errorf("the relay reports %v, but every login is rejected", state)
	}
	if n := relay.accepted.Load(); n != 0 {
		l.t.Errorf("a broker that rejects the login accepted %d messages", n)
	}
	felt := proxy.Count(faultproxy.Connected)
	repair()
	took := l.drained()
	if testenv.Late(l.t, took, 25*time.Second) { // the longest pause is 11 s
		l.t.Errorf("the relay recovered %v after the repair", took)
	}
	relay.stop()
	f := l.judged()
	f.check(l.t, 0)
	r := f.row(name, felt)
	r.recovery = took
	counts.add(l.t, r)
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex // guards the field below
	out bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// secured serves a broker over TLS, with an expired certificate until renew is called.
func secured(t *testing.T, broker string) (address string, trust *tls.Config, renew func()) {
	t.Helper()
	expired, renewed := certificate(t, time.Now().Add(-time.Hour)), certificate(t, time.Now().Add(time.Hour))
	trust = &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AddCert(expired.Leaf)
	trust.RootCAs.AddCert(renewed.Leaf)
	var current atomic.Pointer[tls.Certificate]
	current.Store(expired)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	u.Scheme, u.Host = "amqps", listener.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { forward(client, target) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); wg.Wait() }) // all clients have disconnected
	return u.String(), trust, func() { current.Store(renewed) }
}

// forward copies in both directions until both sides are closed.
func forward(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	_, _ = io.Copy(client, server)
	_ = client.Close()
	wg.Wait()
}

// certificate creates a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T, until time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(until.UnixNano()), NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
