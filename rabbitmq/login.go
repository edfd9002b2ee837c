package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A login is AMQP's PLAIN, for one dial. It asks the broker to say so when it refuses us: otherwise RabbitMQ just ends
// the connection after some seconds, and a wrong password looks like a network that was cut in the same moment.
type login struct {
	amqp.PlainAuth
	properties amqp.Table
}

// Response forgets the password that it returns. The library fills in the capabilities before it asks for the
// response, and sends them after it, so this is the place to add one.
func (l *login) Response() string {
	if capabilities, ok := l.properties["capabilities"].(amqp.Table); ok {
		capabilities["authentication_failure_close"] = true
	}
	response := l.PlainAuth.Response()
	l.Password = ""
	return response
}

// A refusal tells that the broker answered but does not let us in, or is not the one that we want: a matter of
// configuration, not of time.
type refusal struct {
	text string
	// kind is the same for the same reason, also if the text tells the time.
	kind string
}

func (e *refusal) Error() string { return e.text }

// refused returns the refusal that an error of the handshakes is, or nil.
func (a address) refused(err error) *refusal {
	if cause, ok := errors.AsType[*amqp.Error](err); ok {
		// The library makes up a refusal when the connection ends in mid-login.
		if !cause.Server || cause.Code != amqp.AccessRefused && cause.Code != amqp.NotAllowed {
			return nil
		}
		return &refusal{
			text: fmt.Sprintf("log in to %s, virtual host %q, as %q: %s (are user, password and virtual host right?)", a, a.vhost, a.user, a.redact(cause)),
			kind: fmt.Sprint(a, " ", cause.Code, " ", cause.Reason),
		}
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, rejected := errors.AsType[tls.AlertError](err)
	_, plaintext := errors.AsType[tls.RecordHeaderError](err)
	var hint string
	switch {
	case untrusted:
		hint = "is the certificate valid, for this host and by an authority of the configuration?"
	case rejected:
		hint = "does the broker want another client certificate or another version of TLS?"
	case plaintext:
		hint = "does this port speak TLS?"
	default:
		return nil
	}
	return &refusal{text: fmt.Sprintf("connect to %s: %s (%s)", a, a.redact(err), hint), kind: fmt.Sprint(a, " ", hint)}
}

// refusals returns the kinds of the refusals if every host has refused us; a host that is down may come back soon.
func refusals(err error) (kinds string, all bool) {
	failures, ok := errors.AsType[connectError](err)
	if !ok || len(failures) == 0 {
		return "", false
	}
	list := make([]string, len(failures))
	for i, failure := range failures {
		r, ok := errors.AsType[*refusal](failure)
		if !ok {
			return "", false
		}
		list[i] = r.kind
	}
	return strings.Join(list, "\n"), true
}
