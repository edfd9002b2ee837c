package settings

import "strings"

// console checks the console: without accounts it may listen at a loopback address only.
func (c *completion) console() {
	s := &c.s.Console
	if s.Prefix != "" && (!strings.HasPrefix(s.Prefix, "/") || strings.HasSuffix(s.Prefix, "/") || strings.ContainsAny(s.Prefix, "{}?#% ")) {
		c.mistake("console.prefix", "is not a path such as /parley", "start it with a slash, do not end it with one")
	}
	if s.Address == "" {
		return
	}
	host, ok := c.address("console.address", s.Address, "127.0.0.1:8081")
	if !ok {
		return
	}
	if s.PasswordFile == "" && !isLoopback(host) {
		c.mistake("console.address", "is not a loopback address, and the console has no accounts", "use 127.0.0.1, or set console.password_file")
	}
	if s.Address == c.s.HTTP.Address {
		c.mistake("console.address", "is http.address, too", "use another port: health checks need no account, the console does")
	}
}
