package rabbitmq

import (
	"crypto/tls"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Credentials are what a connection logs in with. Their text form shows no password.
type Credentials struct {
	// Username and Password replace those of the address. An empty Username keeps both.
	Username, Password string
	// TLS replaces Config.TLS. Nil keeps it.
	TLS *tls.Config
}

// String returns the user name only.
func (c Credentials) String() string { return "rabbitmq.Credentials(" + c.Username + ")" }

// GoString returns String: %#v must not print a password either.
func (c Credentials) GoString() string { return c.String() }

// renewed returns the address and the TLS configuration for the next attempt to connect.
func (b *Broker) renewed(a address) (address, *tls.Config, error) {
	secured := b.cfg.TLS
	if b.cfg.External {
		a.user = "client certificate" // for errors
	}
	if b.cfg.Credentials == nil {
		return a, secured, nil
	}
	c, err := b.cfg.Credentials()
	if err != nil {
		return a, nil, fmt.Errorf("read the credentials: %w", err)
	}
	if c.Username != "" && !b.cfg.External {
		a.user, a.password = c.Username, c.Password
		a.secrets = append([]string{c.Password}, a.secrets...)
	}
	if c.TLS != nil {
		secured = c.TLS
	}
	return a, secured, nil
}

// mechanism returns the SASL mechanism for an attempt to connect.
func (b *Broker) mechanism(a address, properties amqp.Table) amqp.Authentication {
	if b.cfg.External {
		return &externalLogin{properties}
	}
	return &login{amqp.PlainAuth{Username: a.user, Password: a.password}, properties}
}

// An externalLogin is SASL EXTERNAL: the broker takes the user from the client certificate. RabbitMQ needs the plugin
// rabbitmq_auth_mechanism_ssl.
type externalLogin struct{ properties amqp.Table }

// Mechanism implements amqp.Authentication.
func (*externalLogin) Mechanism() string { return "EXTERNAL" }

// Response asks the broker to report a refusal, as that of login does.
func (l *externalLogin) Response() string {
	reportRefusals(l.properties)
	return "\000*\000*" // RabbitMQ ignores it
}

// reportRefusals makes the broker say why it refuses a login. The library fills in the capabilities before it calls Response
// and sends them afterwards.
func reportRefusals(properties amqp.Table) {
	if capabilities, ok := properties["capabilities"].(amqp.Table); ok {
		capabilities["authentication_failure_close"] = true
	}
}
