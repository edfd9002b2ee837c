package service

import (
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

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
