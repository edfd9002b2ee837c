package service

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strings"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley/service/settings"
)

// postgresTLS makes all connections of the pool use database.tls. Every host is verified under its own name, unless server_name is
// set. Unix sockets stay without TLS.
func postgresTLS(cfg *pgxpool.Config, t *settings.DatabaseTLS) error {
	own, err := t.Config()
	if err != nil || own == nil {
		return err
	}
	c := cfg.ConnConfig
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

// mysqlTLS returns dsn with the TLS of database.tls. The driver knows it by a name that depends on the settings only, so that many
// services of one process do not disturb each other.
func mysqlTLS(dsn string, t *settings.DatabaseTLS) (string, error) {
	own, err := t.Config()
	if err != nil || own == nil {
		return dsn, err
	}
	c, err := driver.ParseDSN(dsn)
	if err != nil {
		return dsn, err
	}
	if own.ServerName == "" {
		host, _, _ := net.SplitHostPort(c.Addr)
		own.ServerName = host
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", *t, own.ServerName))
	c.TLSConfig = "parley-" + hex.EncodeToString(sum[:8])
	if err := driver.RegisterTLSConfig(c.TLSConfig, own); err != nil {
		return dsn, err
	}
	return c.FormatDSN(), nil
}
