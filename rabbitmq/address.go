package rabbitmq

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// An address is one node of the broker with its credentials.
type address struct {
	scheme   string // amqp or amqps
	host     string
	port     int
	vhost    string
	user     string
	password string
	secrets  []string // strings that must not appear in errors
}

// String returns the address without credentials.
func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

func hosts(addresses []address) string {
	names := make([]string, len(addresses))
	for i, a := range addresses {
		names[i] = a.String()
	}
	return strings.Join(names, ", ")
}

// redact returns the text of a library's error without secrets.
func (a address) redact(err error) string {
	text := err.Error()
	for _, s := range a.secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "xxxxx")
		}
	}
	return text
}

// addresses returns the nodes in the order in which they are tried. Its error contains all mistakes.
func (c *Config) addresses() ([]address, error) {
	parameters := c.Host != "" || c.Port != 0 || c.VirtualHost != "" || c.Username != "" || c.Password != "" || len(c.Hosts) > 0
	urls := c.URLs
	if c.URL != "" {
		urls = []string{c.URL}
	}
	switch {
	case c.URL != "" && len(c.URLs) > 0:
		return nil, errors.New("rabbitmq: Config.URL and Config.URLs exclude each other (set one of them)")
	case len(urls) > 0 && parameters:
		return nil, errors.New("rabbitmq: Config.URL and URLs exclude Host, Hosts, Port, VirtualHost, Username and Password (set the URL or the parameters)")
	case len(urls) > 0:
		return collect(urls, "URLs", parseURL)
	case c.Host != "" && len(c.Hosts) > 0:
		return nil, errors.New("rabbitmq: Config.Host and Config.Hosts exclude each other (set one of them)")
	case c.Port < 0 || c.Port > 65535:
		return nil, fmt.Errorf("rabbitmq: Config.Port %d is not 1 to 65535", c.Port)
	}
	nodes := c.Hosts
	if len(nodes) == 0 {
		nodes = []string{cmp.Or(c.Host, "localhost")}
	}
	return collect(nodes, "Hosts", c.node)
}

func collect(texts []string, field string, parse func(text string) (address, error)) ([]address, error) {
	var addresses []address
	var errs []error
	for i, text := range texts {
		a, err := parse(text)
		if err != nil && len(texts) > 1 {
			err = fmt.Errorf("rabbitmq: Config.%s[%d]: %w", field, i, err)
		} else if err != nil {
			err = fmt.Errorf("rabbitmq: Config.%s: %w", strings.TrimSuffix(field, "s"), err)
		}
		addresses, errs = append(addresses, a), append(errs, err)
	}
	return addresses, errors.Join(errs...)
}

// parseURL never quotes the URL in an error: the password may be part of any malformed piece.
func parseURL(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("not a URL (percent-encode special characters of the user and the password)")
	}
	if u.Scheme != "amqp" && u.Scheme != "amqps" {
		return address{}, errors.New("the scheme must be amqp or amqps")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return address{}, errors.New("parameters are not supported: set Heartbeat, DialTimeout and TLS instead" +
			" (or percent-encode ? and # in the password)")
	}
	a := address{scheme: u.Scheme}
	secrets := []string{text}
	if password, ok := u.User.Password(); ok {
		_, encoded, _ := strings.Cut(u.User.String(), ":")
		secrets = append(secrets, encoded, password)
	}
	uri, err := amqp.ParseURI(text)
	if err != nil {
		return address{}, errors.New(address{secrets: secrets}.redact(err))
	}
	a.host, a.port, a.vhost, a.user, a.password, a.secrets = uri.Host, uri.Port, uri.Vhost, uri.Username, uri.Password, secrets
	if a.port < 1 || a.port > 65535 {
		return address{}, errors.New("the port is not 1 to 65535")
	}
	return a, nil
}

// node parses "host", "host:port" or a bare IPv6 address.
func (c *Config) node(text string) (address, error) {
	a := address{
		scheme: "amqp", host: text, port: cmp.Or(c.Port, 5672), vhost: cmp.Or(c.VirtualHost, "/"),
		user: cmp.Or(c.Username, "guest"), password: cmp.Or(c.Password, "guest"), secrets: []string{c.Password},
	}
	if c.TLS != nil {
		a.scheme, a.port = "amqps", cmp.Or(c.Port, 5671)
	}
	if strings.ContainsAny(text, "@/ ") || text == "" {
		return address{}, errors.New("a host must be a name or an address, with or without a port (set credentials in Username and Password)")
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 || host == "" {
			return address{}, fmt.Errorf("%q is not host:port with a port of 1 to 65535", text)
		}
		a.host, a.port = host, n
	}
	return a, nil
}
