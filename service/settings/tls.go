package settings

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// Config reads the certificates and returns the TLS configuration. Nil means the defaults of the system, or no TLS.
func (t *TLS) Config() (*tls.Config, error) {
	if *t == (TLS{}) {
		return nil, nil
	}
	return t.read("broker.tls")
}

// read reads the certificates of the settings below group.
func (t *TLS) read(group string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf(group+".ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf(group+".ca_file: no PEM certificate in %s", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf(group+".cert_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// DatabaseTLS configures TLS for the connection to the database. Each of its settings turns on TLS with verification of the server.
type DatabaseTLS struct {
	CAFile     string `key:"ca_file" doc:"PEM file of trusted certificate authorities of the database server; default: those of the system"`
	CertFile   string `key:"cert_file" doc:"PEM file of the client certificate for the database"`
	KeyFile    string `key:"key_file" doc:"PEM file of the private key of database.tls.cert_file"`
	ServerName string `key:"server_name" doc:"expected name in the database server's certificate; default: the host"`
}

// Config reads the certificates and returns the TLS configuration, or nil if no setting of the group is given.
func (t *DatabaseTLS) Config() (*tls.Config, error) {
	if *t == (DatabaseTLS{}) {
		return nil, nil
	}
	return (&TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName}).read("database.tls")
}

// databaseTLS checks database.tls.
func (c *completion) databaseTLS() {
	d := &c.s.Database
	if d.TLS == (DatabaseTLS{}) {
		return
	}
	if (d.TLS.CertFile == "") != (d.TLS.KeyFile == "") {
		c.mistake("database.tls.cert_file", "database.tls.cert_file and database.tls.key_file belong together", "give both")
	}
	switch d.Scheme() {
	case "postgres", "mysql":
	default:
		c.mistake("database.tls.ca_file", "TLS files are given, but the database is no server", "leave them out, or set database.url")
	}
	if text := d.URL.Reveal(); strings.Contains(text, "sslmode=") || strings.Contains(text, "tls=") {
		c.mistake("database.tls.ca_file", "database.url chooses TLS too", "remove sslmode or tls from the URL: these settings verify the server")
	}
}
