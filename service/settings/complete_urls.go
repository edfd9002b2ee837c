package settings

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// warnUnencrypted warns of a password that is sent to another host without encryption.
func (c *completion) warnUnencrypted(host string, encrypted bool, key string) {
	if host == "" || encrypted || isLoopback(host) {
		return
	}
	c.warn(key, "the password is sent to "+host+" unencrypted (use amqps or broker.tls.enabled)")
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

// flagPassword warns of a password in the arguments of the process.
func (c *completion) flagPassword(key string, u *url.URL) {
	if password, _ := u.User.Password(); password != "" && strings.HasPrefix(c.s.sources[key].text, "flag ") {
		c.warn(key, "every user of this machine can see the password in the process's arguments (use "+fieldByKey(key).env()+" or "+key+"_file)")
	}
}

var databaseSchemes = []string{"postgres", "postgresql", "mysql", "mariadb"}

func (c *completion) database() {
	d := &c.s.Database
	c.databaseTLS()
	if d.URL == "" || c.failed["database.url"] {
		return
	}
	c.databaseTables()
	if d.URL.IsMemory() {
		return
	}
	if strings.HasPrefix(d.URL.Reveal(), "sqlite:") {
		c.sqlite()
		return
	}
	u, err := url.Parse(d.URL.Reveal())
	if err != nil || !slices.Contains(databaseSchemes, u.Scheme) || u.Fragment != "" {
		c.mistake("database.url", "is not the URL of a supported database", "write it as postgres://user:password@host/name, mysql://user:password@host/name, sqlite:path or memory:, with special characters of the password percent-encoded")
		return
	}
	c.databaseHosts(u)
	c.flagPassword("database.url", u)
	if d.Password != "" {
		c.databasePassword(u)
	}
}

// djangoTable is the outbox table of a Django service.
const djangoTable = "services_communication_publishedeventqueue"

const ownTable = "parley_outbox"

// databaseTables checks which tables this kind of database has. The driver checks their names; see service.CheckDatabase.
func (c *completion) databaseTables() {
	d := &c.s.Database
	switch {
	case d.Table == "" || d.Table == ownTable:
	case d.Table != djangoTable:
		c.mistake("database.table", fmt.Sprintf("%q is not known", d.Table), "use "+ownTable+", or "+djangoTable+" for a Django service")
	case d.Scheme() == "memory":
		c.mistake("database.table", "is not supported by a database in memory", "leave it out, or set database.url to a database")
	}
	if d.Schema != "" && d.Scheme() != "postgres" {
		c.mistake("database.schema", "is supported on PostgreSQL only", "leave it out")
	}
}

// databasePassword decides between database.password and the password of the URL. The one of the higher layer wins.
func (c *completion) databasePassword(u *url.URL) {
	d := &c.s.Database
	password, inURL := c.rank("database.password"), c.rank("database.url")
	_, has := u.User.Password()
	switch {
	case has && password == inURL:
		c.mistake("database.password", "the URL has a password too", "give one of them")
	case has && password < inURL:
		c.forget("database.password")
		c.forget("database.password_file")
	default:
		u.User = url.UserPassword(u.User.Username(), d.Password.Reveal())
		d.URL = URL(u.String())
	}
}

// encoded matches a percent-encoded character.
var encoded = regexp.MustCompile(`%[0-9a-fA-F]{2}`)

// sqlite checks the name of a file. It is not decoded: other tools read the same name as a path.
func (c *completion) sqlite() {
	switch path := c.s.Database.SQLitePath(); {
	case path == "":
		c.mistake("database.url", "names no file", "write it as sqlite:path/to/file.db")
	case strings.Contains(path, "?"):
		c.mistake("database.url", "has parameters, which would be part of the file's name", "leave them out: database.busy_timeout is a setting, and parley sets the pragmas that it needs")
	case encoded.MatchString(path):
		c.mistake("database.url", "has percent-encoded characters, which would be part of the file's name", "write the path as it is, such as sqlite:my files/app.db")
	}
}

// databaseHosts checks a URL of several hosts. Without another choice, a server that accepts writes is used.
func (c *completion) databaseHosts(u *url.URL) {
	if !strings.Contains(u.Host, ",") {
		return
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		c.mistake("database.url", "several hosts are supported on PostgreSQL only", "give one host, such as a proxy in front of the servers")
		return
	}
	query := u.Query()
	if !query.Has("target_session_attrs") {
		query.Set("target_session_attrs", "read-write")
		u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // libpq's rules: a plus sign is no space
		c.s.Database.URL = URL(u.String())
	}
}

// SQLitePath returns the file of a sqlite URL: sqlite:path, sqlite:///path or sqlite://path.
func (d *Database) SQLitePath() string {
	path := strings.TrimPrefix(d.URL.Reveal(), "sqlite:")
	return strings.TrimPrefix(path, "//")
}

// Scheme returns the kind of database of the URL: postgres, mysql, sqlite or memory. It returns "" without a URL.
func (d *Database) Scheme() string {
	s, _, _ := strings.Cut(d.URL.Reveal(), ":")
	switch s {
	case "postgresql":
		return "postgres"
	case "mariadb":
		return "mysql"
	}
	return s
}
