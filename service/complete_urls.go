package service

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// brokerParameters exclude a URL.
var brokerParameters = []string{"broker.host", "broker.port", "broker.virtual_host"}

func (c *completion) broker() {
	b := &c.s.Broker
	for _, key := range brokerParameters {
		if c.rank("broker.url") > 0 && c.rank(key) > 0 && !c.prefer("broker.url", key) {
			return
		}
	}
	if b.URL == "" {
		if b.Host == "" && (c.rank("broker.username") > 0 || c.rank("broker.password") > 0 || c.rank("broker.port") > 0 || c.rank("broker.virtual_host") > 0) {
			c.mistake("broker.host", "is missing, but other parameters of the broker are there", "set broker.host or broker.url")
		}
		c.plain(b.Host, b.TLS.Enabled, "broker.host")
		c.tls(b.TLS.Enabled)
		return
	}
	if c.failed["broker.url"] || isMemory(b.URL) {
		return
	}
	u, err := url.Parse(b.URL.Reveal())
	if err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Hostname() == "" || u.Fragment != "" {
		c.mistake("broker.url", "is not an AMQP URL", "write it as amqp://user:password@host:5672/virtualhost, with special characters of the password percent-encoded, or use broker.host and so on; memory: is a broker within this process")
		return
	}
	if u.RawQuery != "" {
		c.mistake("broker.url", "has parameters behind a ?", "use broker.heartbeat, broker.tls.ca_file and so on")
		return
	}
	if u.Scheme == "amqp" && b.TLS.Enabled {
		c.mistake("broker.tls.enabled", "is set, but broker.url does not use TLS", "write the URL as amqps://")
		return
	}
	c.completeBrokerURL(u)
	c.flagPassword("broker.url", u)
	c.plain(u.Hostname(), u.Scheme == "amqps", "broker.url")
	c.tls(u.Scheme == "amqps")
}

// completeBrokerURL adds the user and password that the URL lacks.
func (c *completion) completeBrokerURL(u *url.URL) {
	b := &c.s.Broker
	rank := c.rank("broker.url")
	if u.User != nil && max(c.rank("broker.username"), c.rank("broker.password")) == rank {
		if _, has := u.User.Password(); has || c.rank("broker.username") == rank {
			c.mistake("broker.url", "has a user or password, and broker.username or broker.password is given too", "give one of them")
			return
		}
	}
	user, password := "guest", "guest"
	if u.User != nil {
		user = u.User.Username()
		if p, ok := u.User.Password(); ok {
			password = p
		}
	}
	if u.User == nil || c.rank("broker.username") > rank {
		user = or(b.Username, user)
	}
	if _, has := u.User.Password(); !has || c.rank("broker.password") > rank {
		password = or(b.Password.Reveal(), password)
	}
	u.User = url.UserPassword(user, password)
	b.URL = URL(u.String())
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// plain warns of passwords that travel in the open.
func (c *completion) plain(host string, encrypted bool, key string) {
	if host == "" || encrypted || isLoopback(host) {
		return
	}
	c.warn(key, "the password travels to "+host+" unencrypted (use amqps or broker.tls.enabled)")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *completion) tls(enabled bool) {
	t := c.s.Broker.TLS
	if (t.CertFile == "") != (t.KeyFile == "") {
		c.mistake("broker.tls.cert_file", "broker.tls.cert_file and broker.tls.key_file belong together", "give both")
	}
	if !enabled && (t.CAFile != "" || t.CertFile != "" || t.ServerName != "") {
		c.mistake("broker.tls.ca_file", "TLS files are given, but the connection does not use TLS", "use an amqps URL, or set broker.tls.enabled")
	}
}

// flagPassword warns when a password is among the arguments of the process.
func (c *completion) flagPassword(key string, u *url.URL) {
	if _, has := u.User.Password(); has && strings.HasPrefix(c.s.sources[key].text, "flag ") {
		c.warn(key, "every user of this machine can see the password among the process's arguments (use "+fieldByKey(key).env()+" or "+key+"_file)")
	}
}

func isMemory(s URL) bool { return s == "memory:" || s == "memory://" }

var databaseSchemes = []string{"postgres", "postgresql", "mysql", "mariadb"}

func (c *completion) database() {
	d := &c.s.Database
	if d.URL == "" || c.failed["database.url"] || isMemory(d.URL) {
		return
	}
	if strings.HasPrefix(d.URL.Reveal(), "sqlite:") {
		if d.sqlitePath() == "" {
			c.mistake("database.url", "names no file", "write it as sqlite:path/to/file.db")
		}
		return
	}
	u, err := url.Parse(d.URL.Reveal())
	if err != nil || !slices.Contains(databaseSchemes, u.Scheme) || u.Fragment != "" {
		c.mistake("database.url", "is not a URL of a database that parley knows", "write it as postgres://user:password@host/name, mysql://user:password@host/name, sqlite:path or memory:, with special characters of the password percent-encoded")
		return
	}
	c.flagPassword("database.url", u)
	if d.Password == "" {
		return
	}
	if _, has := u.User.Password(); has && c.rank("database.password") <= c.rank("database.url") {
		c.mistake("database.password", "the URL has a password too", "give one of them")
		return
	}
	u.User = url.UserPassword(u.User.Username(), d.Password.Reveal())
	d.URL = URL(u.String())
}

// sqlitePath returns the file of a sqlite URL: sqlite:path, sqlite:///path or sqlite://path.
func (d *DatabaseSettings) sqlitePath() string {
	path := strings.TrimPrefix(d.URL.Reveal(), "sqlite:")
	return strings.TrimPrefix(path, "//")
}
