package settings

import (
	"net/url"
	"strings"
)

// rest checks the connection to the HTTP API of other services. No mistake contains a part of a URL, because it may be a password.
func (c *completion) rest() {
	r := &c.s.REST
	user := c.rank("rest.username") > 0 || c.rank("rest.password") > 0
	if user && c.rank("rest.credential") > 0 {
		if !c.prefer("rest.credential", "rest.username") || !c.prefer("rest.credential", "rest.password") {
			return
		}
		user = c.rank("rest.username") > 0 || c.rank("rest.password") > 0
	}
	if user && (r.Username == "" || r.Password == "") {
		c.mistake("rest.username", "rest.username and rest.password belong together", "give both, or rest.credential")
	}
	c.restHost()
	c.restPath("rest.auth_url", r.AuthURL)
	c.restPath("rest.refresh_url", r.RefreshURL)
	if (user || len(r.Credential) > 0) && r.AuthURL == "" {
		c.mistake("rest.auth_url", "is missing, but a credential is given", "give the path of the login")
	}
}

const restLogin = "use rest.username and rest.password, or rest.credential"

func (c *completion) restHost() {
	text := c.s.REST.Host.Reveal()
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.mistake("rest.host", "is not an http or https URL", "write it as https://api.example.com")
	case u.User != nil:
		c.mistake("rest.host", "contains a user", restLogin)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		c.mistake("rest.host", "has a query or a fragment", "write it as https://api.example.com")
	}
}

// restPath checks a path on rest.host or a whole URL.
func (c *completion) restPath(key string, path Path) {
	u, err := url.Parse(path.Reveal())
	switch {
	case err != nil, u.Opaque != "" && strings.Contains(u.Opaque, "@"), u.Opaque == "" && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		c.mistake(key, "is neither a path nor an http or https URL", "write it as api/v1/login or https://login.example.com/v1")
	case u.User != nil:
		c.mistake(key, "contains a user", restLogin)
	}
}
