package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-go/parley"
)

// Config holds the choices for a broker connection. Its text form shows no password.
type Config struct {
	// URL is an AMQP URI: amqp[s]://user:password@host:port/vhost, without parameters.
	// An empty path is the virtual host "/". Default: amqp://guest:guest@localhost:5672/.
	URL string
	// URLs are the nodes of a cluster, in place of URL. They are tried in turn; after a
	// connection was lost, the next one is tried first.
	URLs []string
	// Host, Port, VirtualHost, Username and Password address the broker without a URL.
	// Defaults: localhost, 5672 (5671 with TLS), "/", guest, guest.
	Host        string
	Port        int
	VirtualHost string
	Username    string
	Password    string
	// Hosts are the nodes of a cluster as "host" or "host:port", in place of Host. They are
	// tried like URLs.
	Hosts []string
	// TLS is used for amqps URLs, and for parameters if it is set. TLS 1.2 is the least.
	TLS *tls.Config
	// Name tells operators whose connection it is. Default: "parley".
	Name string
	// AppID is the app_id of messages that have none, such as commands that are sent at
	// once. Default: none.
	AppID string
	// Heartbeat is how often both sides prove to be alive, 5s to 60s, in whole seconds. A dead
	// link is noticed within two of them. Default: 10s.
	Heartbeat time.Duration
	// DialTimeout bounds one attempt to connect to one host. Default: 10s.
	DialTimeout time.Duration
	// ConfirmTimeout is how long the broker may be silent while confirms are
	// outstanding; then their outcome is unknown and the connection is given up. Default: 30s.
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

// String names the brokers without credentials.
func (c Config) String() string {
	addresses, err := c.addresses()
	if err != nil {
		return "rabbitmq.Config(" + err.Error() + ")"
	}
	return "rabbitmq.Config(" + hosts(addresses) + ")"
}

// GoString is String: a password must not reach a log by %#v either.
func (c Config) GoString() string { return c.String() }

// complete fills in defaults and returns where to dial.
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
