package rabbitmq_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

func TestHostsAreTriedInOrderAndEveryFailureIsReported(t *testing.T) {
	good, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	at := func(p *faultproxy.Proxy) string {
		u := *good
		u.Host = p.Addr()
		return u.String()
	}
	first, second := faultproxy.Start(t, good.Host), faultproxy.Start(t, good.Host)
	connected := make(chan struct{}, 10)
	b, err := rabbitmq.New(&rabbitmq.Config{
		URLs: []string{at(first), at(second)}, Logger: discard(), DialTimeout: time.Second,
		Hooks: rabbitmq.Hooks{Connected: func(string) { connected <- struct{}{} }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	first.Refuse()
	second.Refuse()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = b.Ready(ctx)
	if err == nil || !strings.Contains(err.Error(), first.Addr()) || !strings.Contains(err.Error(), second.Addr()) {
		t.Errorf("with both hosts down: %v, want both failures", err)
	}
	second.Heal()
	if err := b.Ready(t.Context()); err != nil || second.Count(faultproxy.Connected) == 0 {
		t.Errorf("with the second host up again: %v", err)
	}
	<-connected
	first.Heal()
	second.Refuse()
	second.Cut()
	<-connectedAgain(t, b, connected)
	if first.Count(faultproxy.Connected) == 0 {
		t.Error("the first host is up again, but was not used")
	}
}

func TestTheFirstNodeIsChosenAtRandom(t *testing.T) {
	seen := map[int]int{}
	for range 200 {
		b, err := rabbitmq.New(&rabbitmq.Config{URLs: []string{"amqp://a", "amqp://b", "amqp://c"}})
		if err != nil {
			t.Fatal(err)
		}
		seen[rabbitmq.FirstNode(b)]++
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("200 clients of 3 nodes begin with %v, want each node", seen)
	}
}

// A connection may fail before the broker has sent anything after the login.
func TestABlackHoleRightAfterTheLoginIsNoticedWithinTwoHeartbeats(t *testing.T) {
	t.Parallel()
	const heartbeat, tries = 5 * time.Second, 8 // the library sometimes limits the first read itself
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := range tries {
		var cfg rabbitmq.Config
		p, _, exchange, _ := behindProxy(t, &cfg)
		cfg.Heartbeat = heartbeat
		if n%2 == 1 {
			addr, roots := secure(t, p.Addr())
			cfg.URL = strings.Replace(strings.Replace(cfg.URL, "amqp://", "amqps://", 1), p.Addr(), addr, 1)
			cfg.TLS = &tls.Config{RootCAs: roots, ServerName: "rabbit.test"}
		}
		b := proxiedBroker(t, &cfg)
		if err := b.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Blackhole()
		wg.Go(func() {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 6*heartbeat)
			defer cancel()
			outcomes := b.Publish(ctx, messages(exchange, 1))
			if len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) {
				t.Errorf("published into a black hole: %v, want ErrUnknown", outcomes)
			}
			if took := time.Since(start); testenv.Late(t, took, 2*heartbeat) {
				t.Errorf("TLS %v: the connection was closed after %v, want at most %v", cfg.TLS != nil, took, 2*heartbeat)
			}
		})
	}
}

// connectedAgain publishes until the broker has reconnected.
func connectedAgain(t *testing.T, b *rabbitmq.Broker, connected chan struct{}) chan struct{} {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(connected) == 0 && ctx.Err() == nil {
		out := b.Publish(ctx, []parley.Message{{RoutingKey: "no.queue", Body: []byte("{}")}})
		if len(out) != 1 || !errors.Is(out[0], parley.ErrUnroutable) && !errors.Is(out[0], parley.ErrUnknown) {
			t.Fatalf("outcomes %v", out)
		}
	}
	return connected
}

// secure returns the address of a TLS proxy in front of the real server, and the authority of its certificate.
func secure(t *testing.T, target string) (addr string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"rabbit.test"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			relay := func(to, from net.Conn) { _, _ = io.Copy(to, from); _ = to.Close(); _ = from.Close() }
			wg.Go(func() { relay(server, client) })
			wg.Go(func() { relay(client, server) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String(), roots
}

func TestTLSChecksTheServerAndCarriesEverything(t *testing.T) {
	_, exchange, queue := open(t, rabbitmq.Config{})
	u, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	addr, roots := secure(t, u.Host)
	u.Scheme, u.Host = "amqps", addr
	b, err := rabbitmq.New(&rabbitmq.Config{URL: u.String(), TLS: &tls.Config{RootCAs: roots, ServerName: "rabbit.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	out := messages(exchange, 500)
	out[100].Body = []byte(strings.Repeat("x", 300_000))
	if outcomes := b.Publish(t.Context(), out); outcomes != nil {
		t.Fatal(errors.Join(outcomes...))
	}
	if got := drain(t, b, queue); len(got) != 500 {
		t.Errorf("%d messages arrived, want 500", len(got))
	}
	stranger, err := rabbitmq.New(&rabbitmq.Config{URL: u.String(), TLS: &tls.Config{RootCAs: roots}, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := stranger.Ready(ctx); err == nil || !strings.Contains(err.Error(), "TLS handshake") {
		t.Errorf("a certificate for another name: %v, want a TLS error", err)
	}
}
