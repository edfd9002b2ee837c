package settings

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// brokerAddresses are the settings that exclude each other: one URL, several URLs, or a host with its parameters.
var brokerAddresses = []string{"broker.url", "broker.urls", "broker.host", "broker.port", "broker.virtual_host"}

// oneAddress reports whether the broker is addressed in one way only.
func (c *completion) oneAddress() bool {
	for i, a := range brokerAddresses[:2] {
		for _, b := range brokerAddresses[i+1:] {
			if c.rank(a) > 0 && c.rank(b) > 0 && !c.prefer(a, b) {
				return false
			}
		}
	}
	return true
}

func (c *completion) broker() {
	b := &c.s.Broker
	if !c.oneAddress() {
		return
	}
	switch {
	case c.rank("broker.urls") > 0:
		c.brokerURLs()
	case b.URL == "":
		if b.Host == "" && (c.rank("broker.username") > 0 || c.rank("broker.password") > 0 || c.rank("broker.port") > 0 || c.rank("broker.virtual_host") > 0) {
			c.mistake("broker.host", "is missing, but other parameters of the broker are given", "set broker.host or broker.url")
		}
		c.warnUnencrypted(b.Host, b.TLS.Enabled, "broker.host")
		c.tls(b.TLS.Enabled)
	case !c.failed["broker.url"] && !b.URL.IsMemory():
		encrypted, ok := c.brokerURL("broker.url", "", &b.URL)
		if ok {
			c.tls(encrypted)
		}
	}
}

// brokerURLs checks the nodes of a cluster.
func (c *completion) brokerURLs() {
	urls := c.s.Broker.URLs
	if c.failed["broker.urls"] {
		return
	}
	c.s.Broker.URLs = slices.Clone(urls)
	encrypted, seen := 0, map[string]bool{}
	for i := range c.s.Broker.URLs {
		u := &c.s.Broker.URLs[i]
		item := fmt.Sprintf("item %d: ", i+1)
		if u.IsMemory() {
			c.mistake("broker.urls", item+"memory: is no node of a cluster", "set broker.url to memory:")
			return
		}
		secure, ok := c.brokerURL("broker.urls", item, u)
		if !ok {
			return
		}
		if secure {
			encrypted++
		}
		if seen[u.Reveal()] {
			c.mistake("broker.urls", item+"is listed twice", "list each node once")
		}
		seen[u.Reveal()] = true
	}
	if encrypted > 0 && encrypted < len(urls) {
		c.mistake("broker.urls", "some URLs use TLS and others do not", "write all of them as amqps://")
	}
	c.oneLogin()
	c.tls(encrypted > 0)
}

// brokerURL checks one URL and fills in user and password. It reports whether the URL uses TLS, and whether it is valid.
func (c *completion) brokerURL(key, item string, text *URL) (encrypted, ok bool) {
	u, err := url.Parse(text.Reveal())
	switch {
	case severalHosts(text.Reveal()):
		c.mistake(key, item+"names several hosts", "list one URL for each node in broker.urls")
		return false, false
	case err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Hostname() == "" || u.Fragment != "":
		c.mistake(key, item+"is not an AMQP URL", "write it as amqp://user:password@host:5672/virtualhost, with special characters of the password percent-encoded, or as memory: for a broker in this process; or use broker.host and the other parameters")
		return false, false
	case u.RawQuery != "":
		c.mistake(key, item+"has query parameters", "use settings such as broker.heartbeat or broker.tls.ca_file")
		return false, false
	case u.Scheme == "amqp" && c.s.Broker.TLS.Enabled:
		c.mistake("broker.tls.enabled", "is set, but "+key+" does not use TLS", "write the URL as amqps://")
		return false, false
	}
	c.flagPassword(key, u) // before the default password is filled in
	password, _ := u.User.Password()
	if !c.completeBrokerURL(key, item, u) {
		return false, false
	}
	*text = URL(u.String())
	if password != "" || c.rank("broker.password") > 0 { // the default password, guest, is no secret
		c.warnUnencrypted(u.Hostname(), u.Scheme == "amqps", key)
	}
	return u.Scheme == "amqps", true
}

// severalHosts reports whether the host part of a URL is a list, as other clients write it.
func severalHosts(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	host, _, _ := strings.Cut(rest, "/")
	return ok && strings.Contains(host, ",")
}

// completeBrokerURL adds a missing user name or password to the URL. It reports whether there was no mistake.
func (c *completion) completeBrokerURL(key, item string, u *url.URL) bool {
	b := &c.s.Broker
	rank := c.rank(key)
	if u.User != nil && max(c.rank("broker.username"), c.rank("broker.password")) == rank {
		if _, has := u.User.Password(); has || c.rank("broker.username") == rank {
			c.mistake(key, item+"has a user or password, and broker.username or broker.password is given too", "give one of them")
			return false
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
		user = cmp.Or(b.Username, user)
	}
	if _, has := u.User.Password(); !has || c.rank("broker.password") > rank {
		password = cmp.Or(b.Password.Reveal(), password)
	}
	u.User = url.UserPassword(user, password)
	return true
}

// managementURL checks broker.management_url.
func (c *completion) managementURL() {
	text := c.s.Broker.ManagementURL
	if text == "" || c.failed["broker.management_url"] {
		return
	}
	u, err := url.Parse(text.Reveal())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		c.mistake("broker.management_url", "is not an http or https URL", "write it as http://host:15672")
		return
	}
	c.flagPassword("broker.management_url", u)
	c.warnUnencrypted(u.Hostname(), u.Scheme == "https", "broker.management_url")
}
