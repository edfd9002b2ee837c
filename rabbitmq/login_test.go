package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

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
