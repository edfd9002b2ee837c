package settings

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
)

func TestATLSFileThatCannotBeUsedIsNamedWithItsSetting(t *testing.T) {
	noPEM := writeFile(t, "ca.pem", "not a certificate")
	for _, c := range []struct {
		cfg  TLS
		want string
	}{
		{TLS{CAFile: "/does/not/exist"}, "broker.tls.ca_file: open /does/not/exist"},
		{TLS{CAFile: noPEM}, "broker.tls.ca_file: no PEM certificate in " + noPEM},
		{TLS{CertFile: noPEM, KeyFile: noPEM}, "broker.tls.cert_file: tls: failed to find any PEM data"},
	} {
		if _, err := c.cfg.Config(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error that says %q", c.cfg, err, c.want)
		}
	}
	if _, err := (&DatabaseTLS{CAFile: noPEM}).Config(); err == nil || !strings.Contains(err.Error(), "database.tls.ca_file") {
		t.Errorf("of the database: %v, want an error that names database.tls.ca_file", err)
	}
}

func TestWithoutTLSSettingsThereIsNoConfigurationOfTLS(t *testing.T) {
	if cfg, err := (&TLS{}).Config(); cfg != nil || err != nil {
		t.Errorf("broker: %v, %v", cfg, err)
	}
	if cfg, err := (&DatabaseTLS{}).Config(); cfg != nil || err != nil {
		t.Errorf("database: %v, %v", cfg, err)
	}
	cfg, err := (&TLS{ServerName: "mq"}).Config()
	if err != nil || cfg.ServerName != "mq" || cfg.MinVersion != tls.VersionTLS12 {
		t.Errorf("got %+v (%v), want the server name and TLS 1.2 or later", cfg, err)
	}
}

func TestTLSSettingsOfTheDatabaseThatCannotWorkAreMistakes(t *testing.T) {
	file := writeFile(t, "ca.pem", "x")
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"database: {url: 'postgres://h/d', tls: {cert_file: " + file + "}}":                 "belong together",
		"database: {url: 'sqlite:x.db', tls: {ca_file: " + file + "}}":                      "the database is no server",
		"database: {url: 'postgres://h/d?sslmode=disable', tls: {ca_file: " + file + "}}":   "chooses TLS too",
		"database: {url: 'mysql://u:p@h/d?tls=skip-verify', tls: {server_name: db.intern}}": "chooses TLS too",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a mistake that says %q", text, err, want)
		}
	}
}
