package service

import "time"

// Settings are everything that a service can be told from outside. Each has a name in
// the settings file ("broker.virtual_host"), in the environment
// (PARLEY_BROKER_VIRTUAL_HOST) and, unless it is a password, as a flag
// (--broker-virtual-host). Zero values stand for the defaults. [Load] reads them.
type Settings struct {
	// AppID names this service in every message it writes.
	AppID string `key:"app_id" doc:"name of this service, written into every message" flag:"main"`
	// Broker says how to reach the message broker.
	Broker BrokerSettings `key:"broker"`
	// Queue is the queue that the consumer takes messages from.
	Queue string `key:"queue" doc:"queue that the consumer takes messages from" flag:"main"`
	// Exchanges are declared at the start: durable, topic unless told otherwise.
	Exchanges []Exchange `key:"exchanges" doc:"exchanges to declare: a name, or a name and a type (topic, direct, fanout, headers); default topic"`
	// Binds route messages from exchanges to Queue.
	Binds []Bind `key:"binds" doc:"bindings of the queue: an exchange, or an exchange and a routing key; default #"`
	// Topology is declare, verify or none.
	Topology string `key:"topology" doc:"what to do about exchanges, queue and bindings: declare them, verify that they exist, or none" default:"declare" enum:"declare,verify,none"`
	// Database says where the outbox and the inbox are.
	Database DatabaseSettings `key:"database"`
	// Relay tunes the relay.
	Relay RelaySettings `key:"relay"`
	// Consumer tunes the consumer.
	Consumer ConsumerSettings `key:"consumer"`
	// REST says how to reach the HTTP API of other services.
	REST RESTSettings `key:"rest"`
	// HTTP says where this service answers health checks.
	HTTP HTTPSettings `key:"http"`
	// Log tunes logging.
	Log LogSettings `key:"log"`

	sources   map[string]source
	warnings  []string
	completed bool
}

// BrokerSettings say how to reach the message broker: by URL or by parameters.
type BrokerSettings struct {
	// URL is amqp://, amqps:// or "memory:" for a broker within this process.
	URL     URL    `key:"url" doc:"amqp[s]://user:password@host:port/virtualhost, or memory: for a broker within this process" flag:"main"`
	URLFile string `key:"url_file" doc:"file that holds broker.url" twin:"broker.url"`
	// Host, Port, VirtualHost, Username and Password are used in place of a URL. Username
	// and Password may also complete a URL that has none.
	Host         string `key:"host" doc:"host name, instead of a URL"`
	Port         int    `key:"port" doc:"port, 5672 or with TLS 5671 by default" min:"1" max:"65535"`
	VirtualHost  string `key:"virtual_host" doc:"virtual host, / by default"`
	Username     string `key:"username" doc:"user name, guest by default"`
	Password     Secret `key:"password" doc:"password, guest by default"`
	PasswordFile string `key:"password_file" doc:"file that holds broker.password" twin:"broker.password"`
	// TLS is used with amqps URLs, and with parameters when it is enabled.
	TLS TLSSettings `key:"tls"`
	// Heartbeat is how often both sides prove to be alive.
	Heartbeat time.Duration `key:"heartbeat" doc:"how often both sides prove to be alive, 5s to 1m" default:"10s" min:"5s" max:"1m"`
	// DialTimeout bounds one attempt to connect.
	DialTimeout time.Duration `key:"dial_timeout" doc:"bound of one attempt to connect" default:"10s" min:"1ms"`
	// ConfirmTimeout is how long the broker may be silent while confirms are outstanding.
	ConfirmTimeout time.Duration `key:"confirm_timeout" doc:"how long the broker may be silent while confirms are outstanding" default:"30s" min:"1ms"`
	// Window is how many messages may be unconfirmed at once.
	Window int `key:"window" doc:"how many messages may be unconfirmed at once" default:"1000" min:"1"`
}

// TLSSettings choose certificates for the connection to the broker.
type TLSSettings struct {
	Enabled    bool   `key:"enabled" doc:"use TLS with broker.host (an amqps URL does so by itself)"`
	CAFile     string `key:"ca_file" doc:"PEM file of the authorities to trust, instead of the system's"`
	CertFile   string `key:"cert_file" doc:"PEM file of the client certificate"`
	KeyFile    string `key:"key_file" doc:"PEM file of the client certificate's key"`
	ServerName string `key:"server_name" doc:"name that the server's certificate must have, if it is not the host"`
}

// An Exchange is a name, or a name and a type.
type Exchange struct {
	Name string
	// Type is topic, direct, fanout or headers. Default: topic.
	Type string
}

// A Bind is an exchange, or an exchange and a routing key.
type Bind struct {
	Exchange string
	// RoutingKey may have the wildcards * and #. Default: #.
	RoutingKey string
}

// DatabaseSettings say where the outbox and the inbox are.
type DatabaseSettings struct {
	// URL is postgres://, mysql://, sqlite:path or "memory:".
	URL     URL    `key:"url" doc:"postgres://user:password@host/name, mysql://user:password@host/name, sqlite:path or memory:" flag:"main"`
	URLFile string `key:"url_file" doc:"file that holds database.url" twin:"database.url"`
	// Password completes a URL that has none.
	Password     Secret `key:"password" doc:"password, if the URL has none"`
	PasswordFile string `key:"password_file" doc:"file that holds database.password" twin:"database.password"`
	// Table is the outbox table of a Django service, to work on it instead of parley's own.
	Table string `key:"table" doc:"outbox table of a Django service (services_communication_publishedeventqueue) instead of parley's own"`
	// Schema is where the tables are (PostgreSQL).
	Schema string `key:"schema" doc:"schema of the tables (PostgreSQL); default: the first of the search path"`
	// PollOnly does without LISTEN and prepared statements (PostgreSQL).
	PollOnly bool `key:"poll_only" doc:"do without LISTEN and prepared statements, for connections through a transaction pooler (PostgreSQL)"`
	// MaxConnections bounds the connections of this process.
	MaxConnections int `key:"max_connections" doc:"most connections of this process to the database" default:"16" min:"2" max:"10000"`
	// Migrate brings the tables up to date before relay or consumer start.
	Migrate bool `key:"migrate" doc:"bring the tables up to date before relay or consumer start, instead of by the command migrate"`
}

// RelaySettings tune the relay; see parley.RelayConfig.
type RelaySettings struct {
	Mode            string        `key:"mode" doc:"ordered (one active relay, others stand by) or parallel (no order promised)" default:"ordered" enum:"ordered,parallel"`
	BatchSize       int           `key:"batch_size" doc:"records published and deleted together" default:"1000" min:"1"`
	MaxBytes        int           `key:"max_bytes" doc:"bound of the bodies of a batch, in bytes" default:"67108864" min:"1"`
	PollInterval    time.Duration `key:"poll_interval" doc:"how often to look for due records when nothing wakes the relay" default:"1s" min:"1ms"`
	StandbyInterval time.Duration `key:"standby_interval" doc:"how often a standing-by relay tries to become the active one" default:"1s" min:"1ms"`
	HoldLimit       time.Duration `key:"hold_limit" doc:"how long a database transaction may wait for the broker" default:"5s" min:"1ms"`
	Grace           time.Duration `key:"grace" doc:"how long a stop waits for the batch in hand" default:"25s" min:"1ms"`
	Unroutable      string        `key:"unroutable" doc:"records that no queue takes: default (drop events, park the rest), drop, park or retry" default:"default" enum:"default,drop,park,retry"`
}

// ConsumerSettings tune the consumer; see parley.ConsumerConfig.
type ConsumerSettings struct {
	Lanes    int           `key:"lanes" doc:"deliveries handled at once" default:"16" min:"1"`
	Prefetch int           `key:"prefetch" doc:"most deliveries in hand; default: 4 times the lanes, at most 300" min:"1" max:"65535"`
	Grace    time.Duration `key:"grace" doc:"how long a stop waits for running handlers" default:"25s" min:"1ms"`
	// QuickRetries are the waits before the tries in this process, RetryDelays those in
	// delay queues; see parley.RetryPolicy.
	QuickRetries   []time.Duration `key:"quick_retries" doc:"waits before the tries in this process" default:"100ms,1s" max:"1m"`
	RetryDelays    []time.Duration `key:"retry_delays" doc:"waits in delay queues, in whole seconds, one try after each; then the message is parked" default:"10s,1m,10m" min:"1s" max:"24h"`
	HandlerTimeout time.Duration   `key:"handler_timeout" doc:"how long an attempt may take; then its context ends" default:"5m" min:"1ms"`
	MaxBytes       int             `key:"max_bytes" doc:"bound of the bodies in hand, in bytes" default:"268435456" min:"1"`
	// Secret signs the history of messages in the delay queues and the parked queue. All
	// consumers of a queue need the same one.
	Secret     Secret `key:"secret" doc:"signs the retry history of messages, at least 16 bytes; default: derived from the broker's login"`
	SecretFile string `key:"secret_file" doc:"file that holds consumer.secret" twin:"consumer.secret"`
	Unhandled  string `key:"unhandled" doc:"deliveries that no handler takes: ack (count, warn once) or park" default:"ack" enum:"ack,park"`
}

// RESTSettings say how to reach the HTTP API of other services, and how to log in there.
type RESTSettings struct {
	Host    string `key:"host" doc:"base URL of the API, such as https://api.example.com"`
	AuthURL string `key:"auth_url" doc:"path of the login, such as api/v1/login"`
	// Credential is the body of the login request.
	Credential     Credential    `key:"credential" doc:"body of the login request: names and values"`
	CredentialFile string        `key:"credential_file" doc:"JSON or YAML file that holds rest.credential" twin:"rest.credential"`
	Username       string        `key:"username" doc:"short for a credential of username and password"`
	Password       Secret        `key:"password" doc:"short for a credential of username and password"`
	PasswordFile   string        `key:"password_file" doc:"file that holds rest.password" twin:"rest.password"`
	Timeout        time.Duration `key:"timeout" doc:"bound of one call, retries included" default:"30s" min:"1ms"`
}

// HTTPSettings say where this service answers health checks, and what else it serves there.
type HTTPSettings struct {
	Address string `key:"address" doc:"where to answer /healthz and /readyz, such as 127.0.0.1:8080; default: nowhere" flag:"main"`
	// Metrics adds /metrics in Prometheus' text format.
	Metrics bool `key:"metrics" doc:"serve /metrics for Prometheus there, too"`
}

// LogSettings tune logging, which goes to standard error.
type LogSettings struct {
	Level  string `key:"level" doc:"least level to log: debug, info, warn or error" default:"info" enum:"debug,info,warn,error" flag:"main"`
	Format string `key:"format" doc:"text or json" default:"text" enum:"text,json"`
}

// Warnings tell what is allowed but probably not meant, one sentence each.
func (s *Settings) Warnings() []string { return s.warnings }
