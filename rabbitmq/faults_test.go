package rabbitmq_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// through returns a proxy to the real server, a broker that connects through it, and an exchange and a queue
// that were declared directly.
func through(t *testing.T, cfg rabbitmq.Config) (p *faultproxy.Proxy, b *rabbitmq.Broker, exchange, queue string) {
	t.Helper()
	p, _, exchange, queue = behindProxy(t, &cfg)
	return p, proxiedBroker(t, &cfg), exchange, queue
}

// proxiedBroker returns a broker whose connections may be black holes at the end of the test.
func proxiedBroker(t *testing.T, cfg *rabbitmq.Config) *rabbitmq.Broker {
	t.Helper()
	b, err := rabbitmq.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

// behindProxy points cfg at a proxy; direct is a broker that does not use the proxy.
func behindProxy(t *testing.T, cfg *rabbitmq.Config) (p *faultproxy.Proxy, direct *rabbitmq.Broker, exchange, queue string) {
	t.Helper()
	direct, exchange, queue = open(t, rabbitmq.Config{})
	u, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	if u.Port() == "" {
		target = net.JoinHostPort(u.Hostname(), "5672")
	}
	p = faultproxy.Start(t, target)
	u.Host = p.Addr()
	cfg.URL, cfg.Logger = u.String(), discard()
	return p, direct, exchange, queue
}

// drain consumes all messages of a queue and returns how often each id was in it.
func drain(t *testing.T, b *rabbitmq.Broker, queue string) map[string]int {
	t.Helper()
	end := testenv.Unique(t, "end")
	if outcomes := b.Publish(t.Context(), []parley.Message{{RoutingKey: queue, ID: end, Body: []byte("{}")}}); outcomes != nil {
		t.Fatal(errors.Join(outcomes...))
	}
	s := subscribe(t, b, queue, 500)
	got := map[string]int{}
	for {
		d := next(t, s)
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
		if d.ID == end {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return got
		}
		got[d.ID]++
	}
}

func TestABlackHoleIsNoticedWithinTwoHeartbeats(t *testing.T) {
	t.Parallel()
	const heartbeat = 5 * time.Second
	lost := make(chan string, 2)
	p, b, exchange, queue := through(t, rabbitmq.Config{
		Heartbeat: heartbeat, Hooks: rabbitmq.Hooks{Disconnected: func(c string, _ error) { lost <- c }},
	})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	s := subscribe(t, b, queue, 1)
	next(t, s)
	p.Blackhole()
	start := time.Now()
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) {
		t.Errorf("published into a black hole: %v, want ErrUnknown", outcomes)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Errorf("subscribed to a black hole: %v, want ErrSubscriptionLost", err)
	}
	for range 2 {
		<-lost
	}
	if took := time.Since(start); testenv.Late(t, took, 2*heartbeat) {
		t.Errorf("both connections were closed after %v, want at most %v", took, 2*heartbeat)
	}
}
