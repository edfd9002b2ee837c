package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley/service/settings"
)

// authority returns a PEM file with a certificate authority.
func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDatabaseTLSVerifiesEachHostUnderItsName(t *testing.T) {
	s := &settings.Settings{Database: settings.Database{URL: "postgres://a:1,b:2/orders", TLS: settings.DatabaseTLS{CAFile: authority(t)}}}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	cfg, err := postgresConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	c := cfg.ConnConfig
	got := []string{c.Host + " " + c.TLSConfig.ServerName}
	for _, f := range c.Fallbacks {
		if f.TLSConfig == nil || f.TLSConfig.RootCAs == nil || f.TLSConfig.InsecureSkipVerify {
			t.Fatalf("host %s is not verified", f.Host)
		}
		got = append(got, f.Host+" "+f.TLSConfig.ServerName)
	}
	if diff := cmp.Diff([]string{"a a", "b b"}, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if c.ValidateConnect == nil {
		t.Error("without target_session_attrs a standby would be used")
	}
}

func TestDatabaseTLSOfMySQLNamesTheServer(t *testing.T) {
	ca := authority(t)
	dsn, err := mysqlTLS("u:p@tcp(db.example.com:3306)/orders?timeout=3s", &settings.DatabaseTLS{CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.ParseDSN(dsn)
	if err != nil || c.TLS == nil || c.TLS.ServerName != "db.example.com" || c.TLS.RootCAs == nil || c.Timeout != 3*time.Second {
		t.Errorf("%+v, %v: not verified", c, err)
	}
	if _, err := mysqlTLS("u:p@tcp(h:1)/x", &settings.DatabaseTLS{CAFile: ca + ".missing"}); err == nil || !strings.Contains(err.Error(), "database.tls.ca_file") {
		t.Errorf("a missing file: %v", err)
	}
}
