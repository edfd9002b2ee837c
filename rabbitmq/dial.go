package rabbitmq

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A connectError says why no host could be reached: the failure of each host, in the
// order in which they were tried.
type connectError []error

func (e connectError) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// dialAny tries the hosts in order, beginning with number first. It returns the number
// of the host that answered.
func (b *Broker) dialAny(role string, first int) (*session, int, error) {
	var failures connectError
	for i := range b.addresses {
		n := (first + i) % len(b.addresses)
		s, err := b.dial(role, b.addresses[n])
		if err == nil {
			s.node = n
			return s, n, nil
		}
		failures = append(failures, err)
		if b.life.Err() != nil {
			break
		}
	}
	return nil, first, failures
}

// dial opens one connection. The host name is resolved, and the credentials are read, for each attempt.
func (b *Broker) dial(role string, a address) (*session, error) {
	a, secured, err := b.renewed(a)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", a, err)
	}
	w, err := b.dialTCP(a)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %s", a, a.redact(err))
	}
	// Close does not wait for a handshake.
	stop := context.AfterFunc(b.life, func() { _ = w.Close() })
	defer stop()
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(b.cfg.Name + "/" + role)
	conn, err := b.open(w, a, secured, properties)
	if err == nil {
		return newSession(conn, w), nil
	}
	_ = w.Close() // err already holds the error
	if r := a.refused(err); r != nil {
		return nil, r
	}
	if errors.Is(err, amqp.ErrSASL) && b.cfg.External {
		return nil, fmt.Errorf("connect to %s: the broker does not offer the login by certificate (enable its plugin rabbitmq_auth_mechanism_ssl, and list EXTERNAL in auth_mechanisms)", a)
	}
	if errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrVhost) {
		err = errors.New("connection closed during the AMQP handshake (possibly wrong credentials or virtual host)")
	} else if cause, ok := errors.AsType[*amqp.Error](err); ok {
		err = stripReplyCode(cause)
	}
	return nil, fmt.Errorf("connect to %s: %s", a, a.redact(err))
}

// open does the TLS and AMQP handshakes on a connection that has a deadline. The connection that it returns has
// a deadline for reading the next frame.
func (b *Broker) open(w *wire, a address, with *tls.Config, properties amqp.Table) (*amqp.Connection, error) {
	in := newFrames(w, w.r)
	if a.scheme == "amqps" {
		secured := tls.Client(w, tlsConfig(with, a))
		if err := secured.HandshakeContext(b.life); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		in = newFrames(secured, bufio.NewReaderSize(secured, readBuffer))
	}
	conn, err := amqp.Open(in, amqp.Config{
		SASL:       []amqp.Authentication{b.mechanism(a, properties)},
		Vhost:      a.vhost,
		Heartbeat:  b.cfg.Heartbeat,
		FrameSize:  frameMax,
		Locale:     "en_US",
		Properties: properties,
	})
	if err != nil {
		return nil, err
	}
	in.allow(conn.Config.FrameSize)
	// The library removes the deadline after the handshake, and limits reads only when it has received a further frame. The network
	// may fail before. The negotiated heartbeat is never 0, because Config.Heartbeat is not; the library allows 1.5 heartbeats too.
	if err := in.SetReadDeadline(time.Now().Add(conn.Config.Heartbeat * 3 / 2)); err != nil {
		return nil, err
	}
	return conn, nil
}

// frameMax is what RabbitMQ offers by default.
const frameMax = 131072

func tlsConfig(with *tls.Config, a address) *tls.Config {
	cfg := &tls.Config{}
	if with != nil {
		cfg = with.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = a.host
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	return cfg
}

func (b *Broker) dialTCP(a address) (*wire, error) {
	d := net.Dialer{Timeout: b.cfg.DialTimeout, KeepAlive: 15 * time.Second}
	conn, err := d.DialContext(b.life, "tcp", a.String())
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(b.cfg.DialTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return newWire(conn, min(b.cfg.ConfirmTimeout, writeTimeout)), nil
}
