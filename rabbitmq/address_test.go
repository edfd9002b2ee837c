package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

func TestAddressesAreReadInEveryForm(t *testing.T) {
	for _, c := range []struct {
		cfg  rabbitmq.Config
		want string
	}{
		{rabbitmq.Config{}, "localhost:5672"},
		{rabbitmq.Config{URL: "amqp://u:p@h"}, "h:5672"},
		{rabbitmq.Config{URL: "amqps://u:p%40@h:1/v"}, "h:1"},
		{rabbitmq.Config{URLs: []string{"amqp://a", "amqps://b"}}, "a:5672, b:5671"},
		{rabbitmq.Config{Host: "h", Port: 7}, "h:7"},
		{rabbitmq.Config{Hosts: []string{"a", "b:9", "[::1]:8"}, Port: 7}, "a:7, b:9, [::1]:8"},
	} {
		if got := c.cfg.String(); got != "rabbitmq.Config("+c.want+")" {
			t.Errorf("addresses %s, want %s", got, c.want)
		}
	}
}

func TestMistakesInTheConfigurationAreNamed(t *testing.T) {
	for _, c := range []struct {
		cfg  rabbitmq.Config
		want string
	}{
		{rabbitmq.Config{URL: "http://localhost"}, "amqp or amqps"},
		{rabbitmq.Config{URL: "amqp://h", Host: "h"}, "exclude"},
		{rabbitmq.Config{URL: "amqp://h", URLs: []string{"amqp://h"}}, "URL and Config.URLs exclude each other"},
		{rabbitmq.Config{Host: "h", Hosts: []string{"h"}}, "Config.Host and Config.Hosts exclude each other"},
		{rabbitmq.Config{URLs: []string{"amqp://h", "amqp://h:99999"}}, "URLs[1]"},
		{rabbitmq.Config{Hosts: []string{"h:0"}}, "port"},
		{rabbitmq.Config{Host: "user:secret@h"}, "credentials"},
		{rabbitmq.Config{URL: "amqp://h/?heartbeat=3"}, "Heartbeat"},
		{rabbitmq.Config{Port: 70000}, "Port"},
		{rabbitmq.Config{Heartbeat: time.Second, Window: -1}, "Heartbeat"},
		{rabbitmq.Config{Heartbeat: time.Second, Window: -1}, "Window"},
	} {
		if _, err := rabbitmq.New(&c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want it to contain %q", c.cfg, err, c.want)
		}
	}
}

// A logText collects log records.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestPasswordsNeverReachAnErrorOrALog(t *testing.T) {
	const canary, escaped = "s3cr3t/canary", "s3cr3t%2Fcanary"
	server, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []rabbitmq.Config{
		{URL: "amqp://user:" + escaped + "@127.0.0.1:1/"},
		{URL: "amqp://user:" + escaped + "@127.0.0.1:x/"},
		{URL: "amqp://user:" + escaped + "@127.0.0.1:70000/"},
		{URL: "amqp://user:" + canary + "@127.0.0.1/"},
		{URL: "amqq://user:" + escaped + "@h/"},
		{URL: "amqp://user:" + escaped + "@h/?x=" + escaped},
		{URL: "amqp://user:" + escaped + "@" + server.Host + "/"}, // a wrong login
		{URLs: []string{"amqp://user:" + escaped + "@127.0.0.1:1/", "amqp://user:" + escaped + "@127.0.0.1:x/"}},
		{Host: server.Hostname(), Username: "user", Password: canary},
		{Hosts: []string{"user:" + canary + "@h"}},
	} {
		var out logText
		cfg.Logger = slog.New(slog.NewTextHandler(&out, nil))
		b, err := rabbitmq.New(&cfg)
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			err = b.Ready(ctx)
			cancel()
			fmt.Fprintf(&out, "%v %+v %#v %s", b, b, b, b)
			_ = b.Close(t.Context())
		}
		fmt.Fprintf(&out, "%v %+v %#v %v %+v", cfg, cfg, cfg, &cfg, err)
		if text := out.String(); err == nil || strings.Contains(text, "s3cr3t") || strings.Contains(text, "canary") {
			t.Errorf("the text contains the password, or the error is nil (%v): %s", err, text)
		}
	}
}

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

// connectedAgain publishes until the broker has reconnected.
func connectedAgain(t *testing.T, b *rabbitmq.Broker, connected chan struct{}) chan struct{} {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(connected) == 0 && ctx.Err() == nil {
		out := b.Publish(ctx, []parley.Message{{RoutingKey: "no.queue", Body: []byte("{}")}})
		if len(out) != 1 || !errors.Is(out[0], parley.ErrUnroutable) && !errors.Is(out[0], parley.ErrUnknown) {
			t.Fatalf("outcomes %v", out)
		}
	}
	return connected
}
