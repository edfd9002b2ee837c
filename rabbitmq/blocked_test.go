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
	"github.com/parley-go/parley/rabbitmq"
)

func TestABlockedBrokerIsWaitedFor(t *testing.T) {
	told := make(chan string, 4)
	p, b, exchange, queue := through(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{
		Blocked: func(reason string) { told <- reason }, Unblocked: func() { told <- "" },
	}})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	if p.Block("low on memory") != 1 {
		t.Fatal("no connection received connection.blocked")
	}
	if reason := <-told; reason != "low on memory" || b.State().Blocked != reason {
		t.Errorf("blocked because of %q, state %+v", reason, b.State())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "low on memory") {
		t.Errorf("ready while blocked: %v, want the context's error and the reason", err)
	}
	outcomes := b.Publish(t.Context(), messages(exchange, 2))
	if len(outcomes) != 2 || !errors.Is(outcomes[0], parley.ErrUnknown) || !errors.Is(outcomes[1], parley.ErrUnknown) {
		t.Errorf("publish while blocked: %v, want ErrUnknown at once", outcomes)
	}
	s := subscribe(t, b, queue, 1) // consuming is not blocked
	if err := next(t, s).Settle(parley.SettleAck); err != nil {
		t.Error(err)
	}
	ready := make(chan error, 1)
	go func() { ready <- b.Ready(t.Context()) }()
	p.Unblock()
	if err := <-ready; err != nil || <-told != "" {
		t.Errorf("after unblocking: %v", err)
	}
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Errorf("outcomes after unblocking: %v", outcomes)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := settledLen(t, b, queue, 1); n != 1 { // quorum queues count late
		t.Errorf("%d messages in the queue, want 1: messages were sent while blocked", n)
	}
}

func TestABlockedBrokerCloses(t *testing.T) {
	blocked := make(chan string, 1)
	p, b, exchange, _ := through(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{Blocked: func(r string) { blocked <- r }}})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.Block("alarm")
	<-blocked
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_ = b.Close(ctx) // the broker cannot answer
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %v, want about 200ms", took)
	}
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
