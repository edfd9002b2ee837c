package settings

import "time"

// Settings are the settings of a service. Each has a name in the settings file ("broker.virtual_host"), in the environment
// (PARLEY_BROKER_VIRTUAL_HOST) and, unless it is a secret, as a flag (--broker-virtual-host). A zero value means the default.
// [Load] reads them.
type Settings struct {
	// AppID is the name of this service in every message that it publishes.
	AppID string `key:"app_id" doc:"name of this service in every message that it publishes" flag:"main"`
	// Broker is the connection to the message broker.
	Broker Broker `key:"broker"`
	// Queue is the queue of a service with one consumer. With Queues, it selects one of them.
	Queue string `key:"queue" doc:"queue of the consumer; as a flag or variable it selects one of queues" flag:"main"`
	// Queues are the queues of a service with several consumers, in place of Queue and Binds.
	Queues []Queue `key:"queues" doc:"queues of a service with several consumers: names, each with binds, type, arguments, concurrency, prefetch, retry_delays and other options of consumer"`
	// Exchanges are declared when the service starts, durable. Their default type is topic.
	Exchanges []Exchange `key:"exchanges" doc:"exchanges to declare: a name, or a name and a type (topic, direct, fanout, headers); default topic; or {name, type, arguments}"`
	// Binds are the bindings of Queue. AutoBind binds what the router handles.
	Binds []Bind `key:"binds" doc:"bindings of the queue: an exchange, or an exchange and a routing key (default #); auto binds what the handlers need"`
	// Topology is declare, verify or none. Default: declare.
	Topology string `key:"topology" doc:"declare exchanges, queue and bindings, verify that they exist, or do nothing about them (none)" default:"declare" enum:"declare,verify,none"`
	// Database is the connection to the database of outbox and inbox.
	Database Database `key:"database"`
	// Relay configures the relay.
	Relay Relay `key:"relay"`
	// Inbox configures the inbox.
	Inbox Inbox `key:"inbox"`
	// Consumer configures the consumer.
	Consumer Consumer `key:"consumer"`
	// REST is the connection to the HTTP API of other services.
	REST REST `key:"rest"`
	// Keys are exceptions from the renaming of keys in messages.
	Keys Keys `key:"keys"`
	// HTTP is the endpoint of health checks and metrics.
	HTTP HTTP `key:"http"`
	// Console is the web console.
	Console Console `key:"console"`
	// Telemetry configures the export of traces and metrics.
	Telemetry Telemetry `key:"telemetry"`
	// Log configures the logger.
	Log Log `key:"log"`

	sources   map[string]source
	warnings  []string
	selected  string // the one of Queues that runs; "" for all
	completed bool
	given     *Settings // before they were completed, for RereadBroker and RereadDatabase
}

// Broker is the connection to the message broker, as a URL or as parameters.
type Broker struct {
	// URL is an amqp:// or amqps:// URL, or "memory:" for a broker in this process.
	URL     URL    `key:"url" doc:"amqp[s]://user:password@host:port/virtualhost, or memory: for a broker in this process" flag:"main"`
	URLFile string `key:"url_file" doc:"file that contains broker.url; user and password are read again for each connection" twin:"broker.url"`
	// URLs are the nodes of a cluster, instead of URL. The first one is chosen at random; after a lost connection the next is tried.
	URLs     []URL  `key:"urls" doc:"nodes of a cluster, instead of broker.url: the first one is chosen at random, the next is tried after a lost connection"`
	URLsFile string `key:"urls_file" doc:"file that contains broker.urls, one per line; user and password are read again for each connection" twin:"broker.urls"`
	// QueueType is the type of the queues that this service declares: classic or quorum. Default: classic, as the Python library.
	QueueType string `key:"queue_type" doc:"type of the queues that this service declares: classic (as the Python library) or quorum (replicated in a cluster)" default:"classic" enum:"classic,quorum"`
	// ManagementURL is the HTTP API of RabbitMQ's management plugin, for the command doctor. Without user and password it uses those of
	// the broker. Optional.
	ManagementURL     URL    `key:"management_url" doc:"HTTP API of the management plugin, such as http://host:15672, for the command doctor; default: none"`
	ManagementURLFile string `key:"management_url_file" doc:"file that contains broker.management_url" twin:"broker.management_url"`
	// Host, Port, VirtualHost, Username and Password replace a URL. Username and Password may also complete a URL without them.
	Host         string `key:"host" doc:"host name, instead of a URL"`
	Port         int    `key:"port" doc:"port; default: 5672, or 5671 with TLS" min:"1" max:"65535"`
	VirtualHost  string `key:"virtual_host" doc:"virtual host; default: /"`
	Username     string `key:"username" doc:"user name; default: guest"`
	Password     Secret `key:"password" doc:"password; default: guest"`
	PasswordFile string `key:"password_file" doc:"file that contains broker.password; it is read again for each connection" twin:"broker.password"`
	// Auth is how the service logs in: with a password, or with the client certificate (SASL EXTERNAL). Default: password.
	Auth string `key:"auth" doc:"how to log in: password, or certificate (the user of broker.tls.cert_file, SASL EXTERNAL)" default:"password" enum:"password,certificate"`
	// TLS applies to amqps URLs, and to parameters if it is enabled. Its files are read again for each connection.
	TLS TLS `key:"tls"`
	// Heartbeat is the AMQP heartbeat interval. A dead peer is detected within two intervals.
	Heartbeat time.Duration `key:"heartbeat" doc:"AMQP heartbeat interval, 5s to 1m; a dead peer is detected within two intervals" default:"10s" min:"5s" max:"1m"`
	// DialTimeout is the timeout of one attempt to connect.
	DialTimeout time.Duration `key:"dial_timeout" doc:"timeout of one attempt to connect" default:"10s" min:"1ms"`
	// ConfirmTimeout is how long confirms may be outstanding while the broker sends nothing.
	ConfirmTimeout time.Duration `key:"confirm_timeout" doc:"how long confirms may be outstanding while the broker sends nothing" default:"30s" min:"1ms"`
	// Window is the most unconfirmed messages at once.
	Window int `key:"window" doc:"most unconfirmed messages at once" default:"1000" min:"1"`
	// MaxBody is the largest body that can be published, in bytes. Above parley.MaxBody it affects only messages that a program
	// publishes with Broker.Publish, and rows that Python wrote into Django's table.
	MaxBody int `key:"max_body" doc:"largest message body, in bytes; more than 8 MiB affects only messages that a program publishes with Broker.Publish, and rows of Django's table" default:"8388608" min:"1"`
}

// TLS configures TLS for the connection to the broker.
type TLS struct {
	Enabled    bool   `key:"enabled" doc:"use TLS with broker.host (an amqps URL always uses it)"`
	CAFile     string `key:"ca_file" doc:"PEM file of trusted certificate authorities; default: those of the system"`
	CertFile   string `key:"cert_file" doc:"PEM file of the client certificate"`
	KeyFile    string `key:"key_file" doc:"PEM file of the client certificate's private key"`
	ServerName string `key:"server_name" doc:"expected name in the server's certificate; default: the host"`
}

// An Exchange is a name, or a name and a type.
type Exchange struct {
	Name string
	// Type is topic, direct, fanout or headers. Default: topic.
	Type string
	// Arguments are the arguments of the exchange, such as alternate-exchange.
	Arguments Arguments
}

// A Bind is an exchange, or an exchange and a routing key.
type Bind struct {
	Exchange string
	// RoutingKey may contain the wildcards * and #. Default: #.
	RoutingKey string
}

// Database is the connection to the database of outbox and inbox.
type Database struct {
	// URL is a postgres:// or mysql:// URL, sqlite:path, or "memory:" for a database in this process.
	URL     URL    `key:"url" doc:"postgres://user:password@host/name, mysql://user:password@host/name, sqlite:path or memory:" flag:"main"`
	URLFile string `key:"url_file" doc:"file that contains database.url; user and password are read again for each connection" twin:"database.url"`
	// TLS configures TLS with a server. Its settings turn TLS with verification on.
	TLS DatabaseTLS `key:"tls"`
	// Password completes a URL without a password.
	Password     Secret `key:"password" doc:"password, if the URL has none"`
	PasswordFile string `key:"password_file" doc:"file that contains database.password; it is read again for each connection" twin:"database.password"`
	// Table is the outbox table of a Django service. Default: parley's own table.
	Table string `key:"table" doc:"outbox table of a Django service (services_communication_publishedeventqueue); default: parley's own"`
	// Schema is the schema of the tables (PostgreSQL). Default: the first of the search path.
	Schema string `key:"schema" doc:"schema of the tables (PostgreSQL); default: the first of the search path"`
	// PollOnly avoids LISTEN and prepared statements, for connections through a transaction pooler (PostgreSQL).
	PollOnly bool `key:"poll_only" doc:"avoid LISTEN and prepared statements, for connections through a transaction pooler (PostgreSQL)"`
	// WatchInterval is how often a relay checks for new records (MySQL, MariaDB, SQLite; PostgreSQL notifies).
	WatchInterval time.Duration `key:"watch_interval" doc:"how often a relay checks for new records (MySQL, MariaDB, SQLite)" default:"20ms" min:"1ms"`
	// BusyTimeout is how long a statement waits for another writer (SQLite).
	BusyTimeout time.Duration `key:"busy_timeout" doc:"how long a statement waits for another writer (SQLite)" default:"5s" min:"1ms"`
	// MaxConnections is the most database connections of handlers and publishers. Relay and health checks use up to six more.
	// Default: consumer.concurrency + 4.
	MaxConnections int `key:"max_connections" doc:"most database connections of handlers and publishers; relay and health checks use up to 6 more; default: consumer.concurrency + 4" min:"2" max:"10000"`
	// ActionLogRetention is how long the log of operators' actions is kept; see the command log.
	ActionLogRetention time.Duration `key:"action_log_retention" doc:"how long the log of operators' actions is kept; see the command log" default:"8760h" min:"1m"`
	// Migrate applies pending migrations before relay and consumer start.
	Migrate bool `key:"migrate" doc:"apply pending migrations before relay and consumer start, instead of by the command migrate up"`
}

// Relay configures the relay; see parley.RelayConfig.
type Relay struct {
	Mode            string        `key:"mode" doc:"ordered (one active relay, the others on standby) or parallel (no ordering guarantee)" default:"ordered" enum:"ordered,parallel"`
	BatchSize       int           `key:"batch_size" doc:"most records in a batch; a batch is published and deleted together" default:"1000" min:"1"`
	MaxBytes        int           `key:"max_bytes" doc:"most bytes of message bodies in a batch" default:"67108864" min:"1"`
	PollInterval    time.Duration `key:"poll_interval" doc:"how often the relay polls for due records when nothing wakes it" default:"1s" min:"1ms"`
	StandbyInterval time.Duration `key:"standby_interval" doc:"how often a standby relay tries to become the active one" default:"1s" min:"1ms"`
	HoldLimit       time.Duration `key:"hold_limit" doc:"how long a database transaction may wait for the broker" default:"5s" min:"1ms"`
	ShutdownTimeout time.Duration `key:"shutdown_timeout" doc:"how long a shutdown waits for the current batch" default:"25s" min:"1ms"`
	Unroutable      string        `key:"unroutable" doc:"what happens to unroutable records: default (drop events, park others), drop, park or retry" default:"default" enum:"default,drop,park,retry"`
}

// Consumer configures the consumer; see parley.ConsumerConfig.
type Consumer struct {
	// Name is the consumer's name in the table of failed deliveries and in the inbox. Default: the queue.
	Name string `key:"name" doc:"name of the consumer in the table of failed deliveries and in the inbox; default: the queue"`
	// Failures configures the store of failed deliveries.
	Failures Failures `key:"failures"`
	// PoisonLimit is how often a message may be started without being settled before it is parked: its handler may crash the
	// process. A negative value turns the guard off; so does 0 in a file, a variable or a flag. Default: 20.
	PoisonLimit     int           `key:"poison_limit" doc:"how often a message may be started without being settled (its handler may crash the process) before it is parked; 0 turns this off" default:"20" min:"-1" zero:"off"`
	Concurrency     int           `key:"concurrency" doc:"deliveries handled at once" default:"16" min:"1"`
	Prefetch        int           `key:"prefetch" doc:"most unacked deliveries; default: 4 times consumer.concurrency, at most 300" min:"1" max:"65535"`
	ShutdownTimeout time.Duration `key:"shutdown_timeout" doc:"how long a shutdown waits for running handlers" default:"25s" min:"1ms"`
	// ImmediateRetries are the delays of the retries in this process, RetryDelays those of the retries after them; see
	// parley.RetryPolicy.
	ImmediateRetries []time.Duration `key:"immediate_retries" doc:"delays before the immediate retries, in this process, at most 20 minutes together" default:"100ms,1s" min:"1ms" max:"1m"`
	RetryDelays      []time.Duration `key:"retry_delays" doc:"delays before the later retries, in whole seconds, in the database or in retry queues; then the message is parked" default:"10s,1m,10m" min:"1s" max:"24h" unit:"1s"`
	HandlerTimeout   time.Duration   `key:"handler_timeout" doc:"how long an attempt may take before its context is cancelled" default:"5m" min:"1ms"`
	MaxBytes         int             `key:"max_bytes" doc:"most bytes of message bodies of unacked deliveries" default:"268435456" min:"1"`
	// KillSwitch says when consumption pauses.
	KillSwitch KillSwitch `key:"kill_switch"`
	// StuckAfter is how long after HandlerTimeout an unreturned handler is reported as stuck. A negative value means never; so does 0 in
	// a file, a variable or a flag.
	StuckAfter time.Duration `key:"stuck_after" doc:"how long after consumer.handler_timeout an unreturned handler is reported as stuck and its worker is replaced; 0 turns this off" default:"10s" min:"-1ns" zero:"off"`
	// MaxStuck is the number of stuck handlers that makes the consumer unhealthy. A negative value means never; so does 0 in a file, a
	// variable or a flag.
	MaxStuck int `key:"max_stuck" doc:"stuck handlers that make the consumer unhealthy; 0 turns this off" default:"4" min:"-1" zero:"off"`
	// Secrets sign the retry history of messages in retry queues and the parked queue. The first one signs, all are accepted. All
	// consumers of a queue need the same secrets.
	Secrets     []Secret `key:"secrets" doc:"secrets for the retry history of messages in queues, at least 16 bytes each; the first one signs, all are accepted; default: derived from the broker's login"`
	SecretsFile string   `key:"secrets_file" doc:"file that contains consumer.secrets, one per line" twin:"consumer.secrets"`
	Unhandled   string   `key:"unhandled" doc:"what happens to deliveries without a handler: ack (count, warn once) or park" default:"ack" enum:"ack,park"`
}

// KillSwitch says when consumption pauses because too many deliveries fail; see parley.KillSwitchConfig.
type KillSwitch struct {
	// Share is the share of failed deliveries that pauses consumption. 0 in a file, a variable or a flag turns the switch off; in a
	// program, a negative value does.
	Share   float64       `key:"share" doc:"share of failed deliveries, 0 to 1, that pauses consumption; 0 turns the switch off" default:"0.5" zero:"off"`
	Minimum int           `key:"minimum" doc:"deliveries with an outcome within the window before the share applies" default:"10" min:"1"`
	Window  time.Duration `key:"window" doc:"how far back outcomes count" default:"1m" min:"1s"`
}

// Inbox configures the inbox; see parley.InboxConfig.
type Inbox struct {
	// Retention must be longer than a message can stay in queues and parked.
	Retention     time.Duration `key:"retention" doc:"how long identities of handled messages are kept: longer than a message can stay in queues and parked" default:"168h" min:"1m"`
	SweepInterval time.Duration `key:"sweep_interval" doc:"how often older identities are deleted" default:"1m" min:"1s"`
}

// Failures configures the store of failed deliveries: those that wait for their next attempt, and parked ones.
type Failures struct {
	// Store is auto, sql or queue. Default: auto, which means sql if there is a database. A database in memory counts only with a
	// broker in memory, because messages of a real broker must outlive the process.
	Store string `key:"store" doc:"store of failed deliveries: sql (a table of the database), queue (retry queues and a parked queue on the broker) or auto (sql if there is a database)" default:"auto" enum:"auto,sql,queue"`
	// Table is the table of failed deliveries. On MySQL, MariaDB and SQLite the bodies are in a second table.
	Table string `key:"table" doc:"table of failed deliveries; the command migrate up creates it under this name" default:"parley_failed"`
	// Retention is the time after which parked rows are deleted. Default: never.
	Retention time.Duration `key:"retention" doc:"time after which parked rows are deleted, such as 2160h; default: never" min:"1m"`
}

// REST is the connection to the HTTP API of other services, and the login there.
type REST struct {
	Host    URL  `key:"host" doc:"base URL of the API, without user and query, such as https://api.example.com"`
	AuthURL Path `key:"auth_url" doc:"path of the login endpoint, such as api/v1/login"`
	// Credential is the body of the login request.
	Credential     Credential    `key:"credential" doc:"body of the login request: names and values"`
	CredentialFile string        `key:"credential_file" doc:"JSON or YAML file that contains rest.credential" twin:"rest.credential"`
	Username       string        `key:"username" doc:"user name, short for a credential of username and password"`
	Password       Secret        `key:"password" doc:"password, short for a credential of username and password"`
	PasswordFile   string        `key:"password_file" doc:"file that contains rest.password" twin:"rest.password"`
	Timeout        time.Duration `key:"timeout" doc:"timeout of one call, retries included" default:"30s" min:"1ms"`
	MaxBytes       int           `key:"max_bytes" doc:"largest body of an answer, in bytes" default:"8388608" min:"1"`
	// MaxRetries is how often a request is repeated. A negative value means never; so does 0 in a file, a variable or a flag.
	MaxRetries int `key:"max_retries" doc:"how often a request is repeated, if that is safe; 0 turns this off" default:"3" min:"-1" zero:"off"`
	// UserAgent is sent with every request. Default: parley-rest.
	UserAgent string `key:"user_agent" doc:"sent as User-Agent" default:"parley-rest"`
	// TokenField is the field of the token in the answer of the login; dots lead into objects.
	TokenField string `key:"token_field" doc:"field of the token in the answer of the login, such as data.token" default:"access_token"`
	// RefreshURL is where a refresh token is exchanged for a new token.
	RefreshURL Path `key:"refresh_url" doc:"path where a refresh token is exchanged for a new token; default: the credential is sent again"`
	// DenyPrivate refuses connections to addresses that are not public.
	DenyPrivate bool `key:"deny_private" doc:"refuse connections to loopback, private and link-local addresses, for hosts that come from users"`
}

// HTTP is the endpoint of health checks and metrics.
type HTTP struct {
	Address string `key:"address" doc:"address that serves /healthz and /readyz, such as 127.0.0.1:8080; default: none" flag:"main"`
	// Metrics adds /metrics in the text format of Prometheus.
	Metrics bool `key:"metrics" doc:"serve /metrics for Prometheus at http.address"`
	// The timeouts are those of http.Server. A handler that streams needs a longer WriteTimeout.
	ReadTimeout  time.Duration `key:"read_timeout" doc:"how long reading a request may take" default:"10s" min:"1ms"`
	WriteTimeout time.Duration `key:"write_timeout" doc:"how long a request may take from its header to the end of the answer" default:"15s" min:"1ms"`
	IdleTimeout  time.Duration `key:"idle_timeout" doc:"how long an unused connection stays open" default:"1m" min:"1ms"`
}

// Console is the web console, which a service serves at an address of its own.
type Console struct {
	Address string `key:"address" doc:"address that serves the console, such as 127.0.0.1:8081; other than loopback addresses need console.password_file; default: none"`
	// Write allows replay, edit, drop, cancel, move, pause and resume.
	Write bool `key:"write" doc:"let users of the console change messages and pause parts; default: read-only"`
	// PasswordFile has the accounts; `parley console password` makes its lines.
	PasswordFile string `key:"password_file" doc:"file with the accounts of the console, one name:roles:hash per line, as the command console password prints it"`
	// Prefix is the path of the console behind a reverse proxy.
	Prefix string `key:"prefix" doc:"path below which the console is served, such as /parley; default: the root"`
}

// Telemetry configures the export of traces and metrics by OTLP.
type Telemetry struct {
	// OTLP is the base URL of an OpenTelemetry collector (OTLP over HTTP). Default: no export.
	OTLP string `key:"otlp" doc:"base URL of an OpenTelemetry collector (OTLP over HTTP), such as http://collector:4318; default: no export"`
	// Sample is the share of new traces that are recorded. Traces that another service has begun keep their decision. A negative
	// value means none; so does 0 in a file, a variable or a flag.
	Sample float64 `key:"sample" doc:"share of new traces that are recorded, 0 to 1; a trace that another service began keeps its decision" default:"1" zero:"off"`
}

// Log configures the logger, which writes to standard error.
type Log struct {
	Level  string `key:"level" doc:"lowest level to log: debug, info, warn or error" default:"info" enum:"debug,info,warn,error" flag:"main"`
	Format string `key:"format" doc:"text or json" default:"text" enum:"text,json"`
	// Levels are levels of components. The component is the first word of a message: relay, consumer, rabbitmq, service or inbox.
	Levels map[string]string `key:"levels" doc:"levels of components, such as {relay: debug}; the component is the first word of a message, before the colon"`
}

// Warnings returns one sentence for each setting that is valid but probably a mistake.
func (s *Settings) Warnings() []string { return s.warnings }

// Source returns the source of a setting, such as "flag --broker-url", or "" for a setting that is not set.
func (s *Settings) Source(key string) string { return s.sources[key].text }
