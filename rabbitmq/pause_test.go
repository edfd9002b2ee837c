package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestOnlyRefusalsOfTheBrokerAreConfigurationErrors(t *testing.T) {
	a := address{host: "h", port: 1, user: "u", vhost: "/", secrets: []string{"s3cr3t"}}
	for _, c := range []struct {
		what string
		err  error
		want bool
	}{
		{"the broker refuses the login", &amqp.Error{Code: amqp.AccessRefused, Reason: "no s3cr3t", Server: true}, true},
		{"the broker refuses the virtual host", &amqp.Error{Code: amqp.NotAllowed, Reason: "vhost not found", Server: true}, true},
		{"the virtual host is down", &amqp.Error{Code: amqp.InternalError, Server: true}, false},
		{"a cut during the handshake", amqp.ErrCredentials, false},
		{"a cut at the virtual host", amqp.ErrVhost, false},
		{"an expired certificate", fmt.Errorf("TLS: %w", &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}), true},
		{"a port without TLS", fmt.Errorf("TLS: %w", tls.RecordHeaderError{Msg: "not TLS"}), true},
		{"a rejected client certificate", fmt.Errorf("TLS: %w", tls.AlertError(42)), true},
		{"another error", errors.New("i/o timeout"), false},
	} {
		r := a.refused(c.err)
		if (r != nil) != c.want {
			t.Errorf("%s: refused is %v, want %v", c.what, r, c.want)
		}
		if r != nil && strings.Contains(r.Error(), "s3cr3t") {
			t.Errorf("%s: the text contains the password: %v", c.what, r)
		}
	}
}

func TestThePauseIsLongOnlyIfEveryHostRefuses(t *testing.T) {
	no, down := &refusal{"refused", "refused"}, errors.New("connection refused")
	for _, c := range []struct {
		failures connectError
		slow     bool
	}{
		{connectError{no}, true},
		{connectError{no, no}, true},
		{connectError{no, down}, false},
		{connectError{down}, false},
	} {
		l := link{failures: 1, failure: c.failures}
		if got := l.pause(); (got >= refusedPause) != c.slow {
			t.Errorf("after %v the pause is %v, want a long one: %v", c.failures, got, c.slow)
		}
	}
}

// A thousand clients lose their broker at once. They must not dial it repeatedly while it starts.
func TestClientsOfAnUnreachableBrokerRetryOnceAtOnceAndThenSlowly(t *testing.T) {
	const clients = 1000
	dials := make([]int, 60) // in each second
	for range clients {
		var at time.Duration
		l := link{failure: errors.New("connection refused")}
		for l.failures = 1; at < time.Minute; l.failures++ {
			pause := l.pause()
			if l.failures == 1 && pause > 150*time.Millisecond {
				t.Fatalf("after one failure the pause is %v, want at most 150 ms", pause)
			}
			if pause > 11*time.Second {
				t.Fatalf("after %d failures the pause is %v, want at most 11 s", l.failures, pause)
			}
			if at += pause; at < time.Minute {
				dials[at/time.Second]++
			}
		}
	}
	for second, n := range dials {
		limit := clients
		if second == 0 {
			limit = 2 * clients
		}
		if n > limit {
			t.Errorf("%d clients dial %d times in second %d, want at most %d", clients, n, second, limit)
		}
		if n == 0 {
			t.Errorf("no client dials in second %d", second)
		}
	}
}

func TestARefusalIsLoggedOnceForEachReason(t *testing.T) {
	var out strings.Builder
	l := link{role: "publish", b: &Broker{cfg: Config{Logger: slog.New(slog.NewTextHandler(&out, nil))}}}
	expired := connectError{&refusal{"expired at 1", "expired"}}
	again := connectError{&refusal{"expired at 2", "expired"}}
	vhost := connectError{&refusal{"no such vhost", "vhost"}}
	l.logFailure(expired, nil)
	l.logFailure(again, expired)
	l.logFailure(again, again)
	l.logFailure(vhost, again)
	l.logFailure(expired, nil) // it has been connected since
	if n := strings.Count(out.String(), "level=ERROR"); n != 3 || strings.Contains(out.String(), "at 2") {
		t.Errorf("%d errors were logged, want one for each new reason:\n%s", n, &out)
	}
}
