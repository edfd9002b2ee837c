package service

import (
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/parley-go/parley/service/settings"
)

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

func TestMySQLURLsKeepPasswordAndParameters(t *testing.T) {
	dsn, err := mysqlDSN("mysql://us%40er:p%3A%2F%40ss@h/db?timeout=3s")
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.ParseDSN(dsn)
	if err != nil || c.User != "us@er" || c.Passwd != "p:/@ss" || c.Addr != "h:3306" || c.DBName != "db" || c.Timeout != 3*time.Second {
		t.Errorf("%+v, %v: differs from the URL", c, err)
	}
}
