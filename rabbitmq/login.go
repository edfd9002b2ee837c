package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A login is AMQP's PLAIN, for one dial. It asks the broker to report a refusal. Otherwise RabbitMQ just closes
// the connection after some seconds, and a wrong password looks like a cut network.
type login struct {
	amqp.PlainAuth
	properties amqp.Table
}

// Response returns the password and clears it.
func (l *login) Response() string {
	reportRefusals(l.properties)
	response := l.PlainAuth.Response()
	l.Password = ""
	return response
}

// A refusal means that the broker answered but rejected the login, or is not the expected broker. Its cause is the
// configuration; waiting does not help.
type refusal struct {
	text, hint string
	// kind is the same for the same reason, even if the text contains the time.
	kind string
}

func (e *refusal) Error() string { return e.text + " (" + e.hint + ")" }

const loginHint = "check user, password and the permission for the virtual host; guest may log in from the broker's own machine only"

// refused returns err as a refusal, or nil if it is none.
func (a address) refused(err error) *refusal {
	if cause, ok := errors.AsType[*amqp.Error](err); ok {
		// The library invents a refusal when the connection is closed during the handshake.
		if !cause.Server || cause.Code != amqp.AccessRefused && cause.Code != amqp.NotAllowed {
			return nil
		}
		return &refusal{
			text: fmt.Sprintf("log in to %s, virtual host %q, as %q: %s", a, a.vhost, a.user, a.redact(cause)),
			hint: loginHint,
			kind: fmt.Sprint(a, " ", cause.Code, " ", cause.Reason),
		}
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, rejected := errors.AsType[tls.AlertError](err)
	_, plaintext := errors.AsType[tls.RecordHeaderError](err)
	var hint string
	switch {
	case untrusted:
		hint = "check that the certificate is valid, is for this host and comes from a configured authority"
	case rejected:
		hint = "check the client certificate and the version of TLS that the broker requires"
	case plaintext:
		hint = "check that this port speaks TLS"
	default:
		return nil
	}
	return &refusal{text: fmt.Sprintf("connect to %s: %s", a, a.redact(err)), hint: hint, kind: fmt.Sprint(a, " ", hint)}
}

// refusals returns the kinds of the refusals if every host has refused the login. A host that is down may soon be available again.
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
