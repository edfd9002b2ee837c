package service

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"net"
	"strings"

	"github.com/parley-go/parley/service/settings"
)

// postgresTLS makes connections use database.tls. Every host is verified under its own name, unless server_name is
// set. Unix sockets stay without TLS.
func postgresTLS(c *pgx.ConnConfig, t *settings.DatabaseTLS) error {
	own, err := t.Config()
	if err != nil || own == nil {
		return err
	}
	hosts := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}, c.Fallbacks...)
	c.Fallbacks = nil
	seen := map[string]bool{}
	for _, h := range hosts { // without sslmode there are two entries for each host: with TLS and without
		at := fmt.Sprint(h.Host, " ", h.Port)
		if seen[at] {
			continue
		}
		seen[at] = true
		h = &pgconn.FallbackConfig{Host: h.Host, Port: h.Port}
		if !strings.HasPrefix(h.Host, "/") {
			h.TLSConfig = own.Clone()
			h.TLSConfig.ServerName = cmp.Or(own.ServerName, h.Host)
		}
		if len(seen) == 1 {
			c.TLSConfig = h.TLSConfig
			continue
		}
		c.Fallbacks = append(c.Fallbacks, h)
	}
	return nil
}

// mysqlTLS returns the TLS configuration of database.tls for a server, or nil.
func mysqlTLS(address string, t *settings.DatabaseTLS) (*tls.Config, error) {
	own, err := t.Config()
	if err != nil || own == nil {
		return nil, err
	}
	if own.ServerName == "" {
		own.ServerName, _, _ = net.SplitHostPort(address)
	}
	return own, nil
}
