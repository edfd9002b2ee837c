package settings

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// hidden replaces a secret wherever settings are shown.
const hidden = "xxxxx"

// A Secret is a password. It is hidden however it is printed, logged or encoded. Reveal returns the text.
type Secret string

// Reveal returns the text without hiding.
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

// A URL is an address that may contain a password. The password is hidden however the URL is printed, logged or encoded. Reveal
// returns the text.
type URL string

// Reveal returns the text without hiding.
func (u URL) Reveal() string { return string(u) }

// String hides the password. It hides the whole URL if the password cannot be located.
func (u URL) String() string {
	text := string(u)
	if text == "" || strings.HasPrefix(text, "sqlite:") || u.IsMemory() {
		return text // they have no password
	}
	p, err := url.Parse(text)
	// A password that is not percent-encoded may be parsed as any other part of the URL.
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

// IsMemory reports whether the URL names a broker or a database in this process.
func (u URL) IsMemory() bool { return u == "memory:" || u == "memory://" }

// Format implements fmt.Formatter, so that no verb shows the password.
func (u URL) Format(f fmt.State, verb rune) { format(f, verb, u.String()) }

// LogValue implements slog.LogValuer.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText implements encoding.TextMarshaler; encoding/json and YAML use it.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// A Path is a path on a host, or a whole URL. Passwords in it are hidden as those of a URL. Reveal returns the text.
type Path string

// Reveal returns the text without hiding.
func (p Path) Reveal() string { return string(p) }

// String hides passwords and tokens.
func (p Path) String() string {
	u, err := url.Parse(string(p))
	if err != nil || u.Scheme != "" || u.Host != "" || strings.Contains(string(p), "@") {
		return URL(p).String()
	}
	u.RawQuery = hideQuery(u.RawQuery)
	return u.String()
}

// Format implements fmt.Formatter, so that no verb shows a password.
func (p Path) Format(f fmt.State, verb rune) { format(f, verb, p.String()) }

// LogValue implements slog.LogValuer.
func (p Path) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText implements encoding.TextMarshaler; encoding/json and YAML use it.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func format(f fmt.State, verb rune, text string) {
	if verb == 'q' || f.Flag('#') {
		text = fmt.Sprintf("%q", text)
	}
	fmt.Fprint(f, text)
}

// hideQuery hides the values of parameters that may be secret or that cannot be decoded.
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

// secrets returns the texts that must not appear in errors of drivers: passwords, plain and percent-encoded.
func (s *Settings) secrets() []string {
	var out []string
	add := func(password string) {
		if password != "" {
			out = append(out, password, url.QueryEscape(password), url.PathEscape(password))
		}
	}
	for _, u := range append([]URL{s.Broker.URL, s.Broker.ManagementURL, s.Database.URL}, s.Broker.URLs...) {
		if u.String() == u.Reveal() {
			continue
		}
		out = append(out, u.Reveal())
		if p, err := url.Parse(u.Reveal()); err == nil {
			password, _ := p.User.Password()
			add(password)
		}
	}
	for _, p := range append([]Secret{s.Broker.Password, s.Database.Password, s.REST.Password}, s.Consumer.Secrets...) {
		add(p.Reveal())
	}
	return out
}
