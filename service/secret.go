package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// hidden stands for a secret wherever settings are shown.
const hidden = "xxxxx"

// A Secret is a password. However it is printed, logged or encoded, it is hidden; Reveal gives the text itself.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format implements fmt.Formatter, so that no verb shows the secret.
func (s Secret) Format(f fmt.State, verb rune) { format(f, verb, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler; encoding/json and YAML use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A URL is an address that may contain a password. However it is printed, logged or
// encoded, the password is hidden; Reveal gives the text itself.
type URL string

// Reveal returns the text itself.
func (u URL) Reveal() string { return string(u) }

// String hides the password, and the whole URL if it cannot be told where that is.
func (u URL) String() string {
	text := string(u)
	if text == "" || strings.HasPrefix(text, "sqlite:") || isMemory(u) {
		return text // they have no password
	}
	p, err := url.Parse(text)
	// A password that is not percent-encoded can end up in any other part of the URL.
	torn := err != nil || p.Fragment != "" || strings.Count(text, "@") > 1 || p.User == nil && strings.Contains(text, "@")
	if torn || p.Scheme == "" || p.Host == "" {
		return hidden
	}
	if _, ok := p.User.Password(); ok {
		p.User = url.UserPassword(p.User.Username(), hidden)
	}
	p.RawQuery = hideQuery(p.RawQuery)
	return p.String()
}

// Format implements fmt.Formatter, so that no verb shows the password.
func (u URL) Format(f fmt.State, verb rune) { format(f, verb, u.String()) }

// LogValue implements slog.LogValuer.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText implements encoding.TextMarshaler; encoding/json and YAML use it.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func format(f fmt.State, verb rune, text string) {
	if verb == 'q' || f.Flag('#') {
		text = fmt.Sprintf("%q", text)
	}
	fmt.Fprint(f, text)
}

// hideQuery hides the values of parameters that may be secret, and of all that cannot be read.
func hideQuery(raw string) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		lower := strings.ToLower(name)
		for _, word := range [...]string{"pass", "pwd", "secret", "token", "key", "%", ";"} {
			if strings.Contains(lower, word) {
				pairs[i] = name + "=" + hidden
			}
		}
	}
	return strings.Join(pairs, "&")
}

// A Credential is the body of a login request. Its values are secrets.
type Credential map[string]any

func (c Credential) shown() map[string]string {
	out := make(map[string]string, len(c))
	for name := range c {
		out[name] = hidden
	}
	return out
}

// Format implements fmt.Formatter, so that no verb shows the values.
func (c Credential) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%v", c.shown()) }

// LogValue implements slog.LogValuer.
func (c Credential) LogValue() slog.Value { return slog.AnyValue(c.shown()) }

// MarshalJSON hides the values.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.shown()) }

// secrets lists what must not appear in errors of drivers: passwords, also as URLs have them.
func (s *Settings) secrets() []string {
	var out []string
	add := func(password string) {
		if password != "" {
			out = append(out, password, url.QueryEscape(password), url.PathEscape(password))
		}
	}
	for _, u := range [...]URL{s.Broker.URL, s.Database.URL} {
		if u.String() == u.Reveal() {
			continue
		}
		out = append(out, u.Reveal())
		if p, err := url.Parse(u.Reveal()); err == nil {
			password, _ := p.User.Password()
			add(password)
		}
	}
	for _, p := range [...]Secret{s.Broker.Password, s.Database.Password, s.REST.Password, s.Consumer.Secret} {
		add(p.Reveal())
	}
	return out
}

// shortest is how long a secret must be to be looked for in texts: "a" is in all of them.
// RabbitMQ's "guest" is none.
const shortest = 4

// redacted returns err without the secrets that a driver may have put into it.
func redacted(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets {
		if len(s) >= shortest && s != "guest" {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
