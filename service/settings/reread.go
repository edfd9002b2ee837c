package settings

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
)

// RereadBroker returns settings whose connection to the broker is as the files of the *_file settings are now: its password and URLs. A
// running service calls it before each connection, so that a changed password needs no restart. Files of other parts are not read, so a
// broken one stops no connection to the broker. The other settings are incomplete. It reports mistakes as *Error.
func (s *Settings) RereadBroker() (*Settings, error) {
	return s.reread((*completion).broker, "broker.url_file", "broker.urls_file", "broker.password_file")
}

// RereadDatabase is RereadBroker for the connection to the database.
func (s *Settings) RereadDatabase() (*Settings, error) {
	return s.reread((*completion).database, "database.url_file", "database.password_file")
}

func (s *Settings) reread(check func(*completion), files ...string) (*Settings, error) {
	if s.given == nil {
		return s, nil
	}
	now := *s.given
	now.sources = maps.Clone(s.given.sources)
	c := &completion{s: &now}
	for _, key := range files {
		c.secretFile(fieldByKey(key))
	}
	c.defaults()
	check(c)
	if len(c.mistakes) > 0 {
		return nil, &Error{c.mistakes}
	}
	return &now, nil
}

// RotatesLogin reports whether user name or password of the broker are in a file, which is read again at each connection.
func (b *Broker) RotatesLogin() bool {
	return b.URLFile != "" || b.URLsFile != "" || b.PasswordFile != ""
}

// Login returns user name and password of the broker: with several nodes those of the first one, which are those of all nodes if they
// are read again at each connection.
func (b *Broker) Login() (username, password string) {
	text := b.URL
	if len(b.URLs) > 0 {
		text = b.URLs[0]
	}
	u, err := url.Parse(text.Reveal())
	if text == "" || err != nil {
		return cmp.Or(b.Username, "guest"), b.Password.Reveal()
	}
	password, _ = u.User.Password()
	return u.User.Username(), password
}

// oneLogin requires the same login in all URLs if it is read again at each connection, because the new login is used for each node.
func (c *completion) oneLogin() {
	b := &c.s.Broker
	user, password := b.Login()
	differs := func(node URL) bool {
		nodeUser, nodePassword := (&Broker{URL: node}).Login()
		return nodeUser != user || nodePassword != password
	}
	if b.RotatesLogin() && slices.ContainsFunc(b.URLs, differs) {
		c.mistake("broker.urls", "the nodes have different logins, but a login in a file is read again for all nodes at once", "give all nodes the same user and password: the nodes of a cluster share their users")
	}
}

// login checks how the service logs in to the broker.
func (c *completion) login() {
	b := &c.s.Broker
	if b.Auth == AuthCertificate {
		switch {
		case b.TLS.CertFile == "":
			c.mistake("broker.auth", "certificate needs a client certificate", "set broker.tls.cert_file and broker.tls.key_file, and use TLS")
		case c.rank("broker.password") > 0:
			c.mistake("broker.auth", "certificate uses no password, but broker.password is given", "remove one of them")
		case !c.s.FailuresInSQL() && len(c.s.AllQueues()) > 0 && len(c.s.Consumer.Secrets) == 0:
			c.mistake("broker.auth", "certificate gives no password to derive the secret of retry histories from", "set consumer.secrets or consumer.secrets_file, or keep failed deliveries in the database")
		}
		return
	}
	if b.RotatesLogin() && !c.s.FailuresInSQL() && len(c.s.AllQueues()) > 0 && len(c.s.Consumer.Secrets) == 0 {
		c.warn("broker.password_file", "the secret of retry histories is derived from the password; after it has changed, waiting retries are parked (set consumer.secrets)")
	}
}

// The values of broker.auth.
const (
	AuthPassword    = "password"
	AuthCertificate = "certificate"
)
