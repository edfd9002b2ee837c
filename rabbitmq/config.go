package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-go/parley"
)

// Config configures a broker connection. Its text form shows no password.
type Config struct {
	// URL is an AMQP URI: amqp[s]://user:password@host:port/vhost, without parameters.
	// An empty path is the virtual host "/". Default: amqp://guest:guest@localhost:5672/.
	URL string
	// URLs are the nodes of a cluster, instead of URL. They are tried in order, beginning with a random one, so that the
	// clients of a cluster spread over its nodes. After a lost connection, the next node is tried first.
	URLs []string
	// Host, Port, VirtualHost, Username and Password address the broker without a URL.
	// Defaults: localhost, 5672 (5671 with TLS), "/", guest, guest.
	Host        string
	Port        int
	VirtualHost string
	Username    string
	Password    string
	// Hosts are the nodes of a cluster as "host" or "host:port", instead of Host. They are
	// tried in the same way as URLs.
	Hosts []string
	// Credentials, if it is set, is called before each attempt to connect, so that a changed password or certificate is used
	// without a restart. It may read files, and is called for several connections at once. After an error the attempt has failed,
	// and is repeated. The retry secret (see Broker.RetrySecret) stays that of the first password: set ConsumerConfig.Secrets.
	// Default: none.
	Credentials func() (Credentials, error)
	// External logs in by the client certificate of the TLS connection (SASL EXTERNAL), not by a password. RabbitMQ needs
	// its plugin rabbitmq_auth_mechanism_ssl. Default: false.
	External bool
	// TLS is used for amqps URLs, and for the parameters if it is set. The minimum version is TLS 1.2.
	TLS *tls.Config
	// Name is the connection name that RabbitMQ's management shows. Default: "parley".
	Name string
	// AppID is the app_id of messages without one, such as commands that are sent without an
	// outbox. Default: none.
	AppID string
	// Heartbeat is the AMQP heartbeat interval: 5s to 60s, in whole seconds. A dead peer
	// is detected within two intervals. Default: 10s.
	Heartbeat time.Duration
	// DialTimeout bounds one attempt to connect to one host. Default: 10s.
	DialTimeout time.Duration
	// ConfirmTimeout is how long the broker may be silent while confirms are
	// outstanding. Then their outcome is unknown and the connection is closed. Default: 30s.
	ConfirmTimeout time.Duration
	// Window is how many messages may be unconfirmed at once. Default: 1000.
	Window int
	// MaxBody is the largest body that can be published, in bytes. Default: parley.MaxBody.
	MaxBody int
	// Topology says what happens when a message is published to an exchange that does not exist. With
	// TopologyDeclare, the default, the exchange is declared; otherwise the message is refused. The caller chooses the
	// exchange of a reply, so for replies only exchanges in ExchangeTypes are declared; other replies are unroutable.
	Topology parley.TopologyMode
	// ExchangeTypes are the types of the exchanges to be declared. Default: topic.
	ExchangeTypes map[string]parley.ExchangeType
	// ExchangeArguments are the arguments of the exchanges to be declared. Default: none.
	ExchangeArguments map[string]map[string]any
	// Hooks observe the connections.
	Hooks Hooks
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// Hooks are called when events happen; they must not block. Nil fields are skipped.
type Hooks struct {
	// Connected and Disconnected report the state of the connections "publish" and "consume".
	Connected    func(connection string)
	Disconnected func(connection string, cause error)
	// Blocked and Unblocked report a memory or disk alarm of the broker.
	Blocked   func(reason string)
	Unblocked func()
	// StaleAck counts settlements that were made after their session had ended.
	StaleAck func()
}

// String returns the hosts without credentials.
func (c Config) String() string {
	addresses, err := c.addresses()
	if err != nil {
		return "rabbitmq.Config(" + err.Error() + ")"
	}
	return "rabbitmq.Config(" + hosts(addresses) + ")"
}

// GoString returns String: %#v must not print a password either.
func (c Config) GoString() string { return c.String() }

// complete sets defaults and returns the addresses to dial.
func (c *Config) complete() ([]address, error) {
	addresses, err := c.addresses()
	errs := []error{err}
	positive(&c.Heartbeat, 10*time.Second, "Heartbeat", &errs)
	positive(&c.DialTimeout, 10*time.Second, "DialTimeout", &errs)
	positive(&c.ConfirmTimeout, 30*time.Second, "ConfirmTimeout", &errs)
	positive(&c.Window, 1000, "Window", &errs)
	positive(&c.MaxBody, parley.MaxBody, "MaxBody", &errs)
	if c.Heartbeat > 0 && (c.Heartbeat < 5*time.Second || c.Heartbeat > time.Minute) {
		errs = append(errs, fmt.Errorf("rabbitmq: Config.Heartbeat %v is outside 5s to 1m", c.Heartbeat))
	}
	for _, a := range addresses {
		if c.External && err == nil && a.scheme != "amqps" {
			errs = append(errs, fmt.Errorf("rabbitmq: Config.External needs TLS with %s (use an amqps URL, or set TLS)", a))
		}
	}
	if len(c.AppID) > 255 {
		errs = append(errs, fmt.Errorf("rabbitmq: Config.AppID has %d bytes, AMQP allows 255", len(c.AppID)))
	}
	if c.Name == "" {
		c.Name = "parley"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return addresses, errors.Join(errs...)
}

func positive[N int | time.Duration](v *N, def N, name string, errs *[]error) {
	if *v < 0 {
		*errs = append(*errs, fmt.Errorf("rabbitmq: Config.%s must not be negative", name))
	}
	if *v == 0 {
		*v = def
	}
}
