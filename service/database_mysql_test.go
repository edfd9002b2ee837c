package service

import (
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley/service/settings"
)

func TestParametersOfAMySQLURLReachTheDriver(t *testing.T) {
	dsn, err := mysqlDSN("mysql://shop:p%40ss@db:3307/shop?loc=Europe/Berlin&time_zone=%27%2B02%3A00%27&parseTime=true")
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if c.Loc.String() != "Europe/Berlin" || c.Params["time_zone"] != "'+02:00'" || !c.ParseTime || c.Passwd != "p@ss" || c.Addr != "db:3307" || c.DBName != "shop" {
		t.Errorf("the driver reads %+v", c)
	}
}

func TestAMySQLURLMayNameAUnixSocket(t *testing.T) {
	dsn, err := mysqlDSN("mysql://shop@/shop?socket=/run/mysqld/mysqld.sock")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := driver.ParseDSN(dsn); err != nil || c.Net != "unix" || c.Addr != "/run/mysqld/mysqld.sock" || c.DBName != "shop" {
		t.Errorf("the driver reads %+v, %v", c, err)
	}
}

func TestTheCheckOfSettingsFindsWhatOnlyTheDriverKnows(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://shop@db/shop?loc=Nowhere/Town":            "Nowhere/Town",
		"mysql://shop@db/shop?socket=/run/mysqld.sock":     "a host and a socket",
		"postgres://shop@db/shop?connect_timeout=tomorrow": "connect_timeout",
		"mysql://shop@db/shop?loc=Europe/Berlin":           "",
		"postgres://shop@db/shop?connect_timeout=5":        "",
		"sqlite:shop.db": "",
	} {
		err := CheckDatabase(&settings.Settings{Database: settings.Database{URL: settings.URL(url)}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q in it", url, err, want)
		}
	}
}
