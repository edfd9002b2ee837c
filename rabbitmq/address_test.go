package rabbitmq_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
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
