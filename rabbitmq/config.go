// Package rabbitmq connects parley to RabbitMQ (AMQP 0-9-1).
//
//	broker, err := rabbitmq.New(&rabbitmq.Config{URL: "amqp://guest:guest@localhost:5672/"})
//	defer broker.Close(ctx)
//
// A [Broker] keeps one connection for publishing and one for consuming, opens them when
// they are first needed and again, for ever, after they are lost. It never uses the
// client library's own recovery: a delivery belongs to the session it came on, and is
// settled there or not at all.
package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// Config holds the choices for a broker connection.
type Config struct {
	// URL is an AMQP URI: amqp[s]://user:password@host:port/vhost. An empty path is the virtual host "/".
	// Instead, give the parameters below. Default: amqp://guest:guest@localhost:5672/.
	URL string
	// Host, Port, VirtualHost, Username and Password address the broker without a URL.
	// Defaults: localhost, 5672, "/", guest, guest.
	Host        string
	Port        int
	VirtualHost string
	Username    string
	Password    string
	// TLS is used for amqps URLs, and for parameters if it is set. TLS 1.2 is the least.
	TLS *tls.Config
	// Name tells operators whose connection it is. Default: "parley".
	Name string
	// Heartbeat is how often both sides prove to be alive, 5s to 60s. Default: 10s.
	Heartbeat time.Duration
	// DialTimeout bounds one attempt to connect. Default: 10s.
	DialTimeout time.Duration
	// ConfirmTimeout is how long the broker may be silent while confirms are
	// outstanding; then the session is given up. Default: 30s.
	ConfirmTimeout time.Duration
	// Window is how many messages may be unconfirmed at once. Default: 1000.
	Window int
	// MaxBody is the largest body that is published, in bytes. Default: parley.MaxBody.
	MaxBody int
	// Topology says what happens on publishing to an exchange that does not exist: with
	// TopologyDeclare, the default, it is declared; otherwise the message is refused.
	Topology parley.TopologyMode
	// ExchangeTypes are the types of exchanges that are declared so. Default: topic.
	ExchangeTypes map[string]parley.ExchangeType
	// Hooks observe the connections.
	Hooks Hooks
	// Logger gets what the operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// Hooks are called as things happen; they must not block. Nil fields are skipped.
type Hooks struct {
	// Connected and Disconnected tell of the connections "publish" and "consume".
	Connected    func(connection string)
	Disconnected func(connection string, cause error)
	// Blocked and Unblocked tell of a memory or disk alarm of the broker.
	Blocked   func(reason string)
	Unblocked func()
	// StaleAck counts settlements that came after their session had ended.
	StaleAck func()
}

// complete fills in defaults and returns where to dial.
func (c *Config) complete() (amqp.URI, error) {
	var errs []error
	uri, err := c.uri()
	errs = append(errs, err)
	positive(&c.Heartbeat, 10*time.Second, "Heartbeat", &errs)
	positive(&c.DialTimeout, 10*time.Second, "DialTimeout", &errs)
	positive(&c.ConfirmTimeout, 30*time.Second, "ConfirmTimeout", &errs)
	positive(&c.Window, 1000, "Window", &errs)
	positive(&c.MaxBody, parley.MaxBody, "MaxBody", &errs)
	if c.Heartbeat > 0 && (c.Heartbeat < 5*time.Second || c.Heartbeat > time.Minute) {
		errs = append(errs, fmt.Errorf("rabbitmq: Config.Heartbeat %v is outside 5s to 1m", c.Heartbeat))
	}
	if c.Name == "" {
		c.Name = "parley"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return uri, errors.Join(errs...)
}

func positive[N int | time.Duration](v *N, def N, name string, errs *[]error) {
	if *v < 0 {
		*errs = append(*errs, fmt.Errorf("rabbitmq: Config.%s must not be negative", name))
	}
	if *v == 0 {
		*v = def
	}
}

func (c *Config) uri() (amqp.URI, error) {
	if c.URL == "" {
		return c.parameters()
	}
	if c.Host != "" || c.Port != 0 || c.VirtualHost != "" || c.Username != "" || c.Password != "" {
		return amqp.URI{}, errors.New("rabbitmq: Config.URL excludes Host, Port, VirtualHost, Username and Password")
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return amqp.URI{}, errors.New("rabbitmq: Config.URL is not a URL (percent-encode special characters of the password)")
	}
	if u.Scheme != "amqp" && u.Scheme != "amqps" {
		return amqp.URI{}, fmt.Errorf("rabbitmq: Config.URL has the scheme %q: use amqp or amqps", u.Scheme)
	}
	uri, err := amqp.ParseURI(c.URL)
	if err != nil {
		return uri, fmt.Errorf("rabbitmq: Config.URL: %s", redact(err.Error(), c.URL, uri.Password))
	}
	return uri, nil
}

func (c *Config) parameters() (amqp.URI, error) {
	uri := amqp.URI{Scheme: "amqp", Host: "localhost", Port: 5672, Username: "guest", Password: "guest", Vhost: "/"}
	setText(&uri.Host, c.Host)
	setText(&uri.Username, c.Username)
	setText(&uri.Password, c.Password)
	setText(&uri.Vhost, c.VirtualHost)
	if c.TLS != nil {
		uri.Scheme, uri.Port = "amqps", 5671
	}
	if c.Port < 0 || c.Port > 65535 {
		return uri, fmt.Errorf("rabbitmq: Config.Port %d is not 1 to 65535", c.Port)
	}
	if c.Port != 0 {
		uri.Port = c.Port
	}
	return uri, nil
}

func setText(dst *string, s string) {
	if s != "" {
		*dst = s
	}
}

// redact keeps secrets out of texts that driver libraries make.
func redact(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) > 0 {
			text = strings.ReplaceAll(text, s, "xxxxx")
		}
	}
	return text
}

// dial opens a connection.
func (b *Broker) dial(role string) (*amqp.Connection, error) {
	var tlsConfig *tls.Config
	if b.uri.Scheme == "amqps" {
		tlsConfig = &tls.Config{ServerName: b.uri.Host}
		if b.cfg.TLS != nil {
			tlsConfig = b.cfg.TLS.Clone()
		}
		tlsConfig.MinVersion = max(tlsConfig.MinVersion, tls.VersionTLS12)
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(b.cfg.Name + "/" + role)
	conn, err := amqp.DialConfig(b.address(), amqp.Config{
		// A new credential for each dial: the library may wipe it.
		SASL:            []amqp.Authentication{&amqp.PlainAuth{Username: b.uri.Username, Password: b.uri.Password}},
		Vhost:           b.uri.Vhost,
		Heartbeat:       b.cfg.Heartbeat,
		TLSClientConfig: tlsConfig,
		Properties:      properties,
		Dial:            b.dialTCP,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s:%d: %s", b.uri.Host, b.uri.Port, redact(err.Error(), b.cfg.URL, b.uri.Password))
	}
	return conn, nil
}

// address is the URL to dial, without credentials.
func (b *Broker) address() string {
	return b.uri.Scheme + "://" + net.JoinHostPort(b.uri.Host, strconv.Itoa(b.uri.Port)) + "/"
}

func (b *Broker) dialTCP(network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: b.cfg.DialTimeout, KeepAlive: 15 * time.Second}
	conn, err := d.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(b.cfg.DialTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &deadlineConn{conn}, nil
}

// deadlineConn bounds each write: the library has no bound, and a broker that stops
// reading would hold us for ever.
type deadlineConn struct{ net.Conn }

const writeTimeout = 20 * time.Second

func (c *deadlineConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
