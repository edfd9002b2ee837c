package service

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	sqlitedriver "modernc.org/sqlite"

	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/service/settings"
)

// describe fills in database.url and broker.url for what the program hands in. Logs and checks of the kind of database use them.
func (c *Config) describe(s *settings.Settings) error {
	if c.Pool != nil && c.DB != nil {
		return errors.New("Config.Pool and Config.DB are both set: a service has one database")
	}
	d := &s.Database
	switch {
	case c.Pool != nil && d.URL == "":
		d.URL = poolURL(c.Pool)
	case c.Pool != nil && d.Scheme() != "postgres":
		return fmt.Errorf("Config.Pool is for PostgreSQL, but database.url is %s", d.URL)
	case c.DB != nil && d.URL == "":
		if d.URL = dbURL(c.DB); d.URL == "" {
			return fmt.Errorf("Config.DB: driver %T is neither that of package mysql nor that of package sqlite (if it wraps one of them, set database.url)", c.DB.Driver())
		}
	case c.DB != nil && d.Scheme() != "mysql" && d.Scheme() != "sqlite":
		return fmt.Errorf("Config.DB is for MySQL, MariaDB and SQLite, but database.url is %s", d.URL)
	}
	if _, ok := c.Broker.(*memory.Broker); ok && !s.HasBroker() {
		s.Broker.URL = "memory:"
	}
	return nil
}

// poolURL returns the URL of a pool's database, without a password.
func poolURL(pool *pgxpool.Pool) settings.URL {
	c := pool.Config().ConnConfig
	u := url.URL{Scheme: "postgres", User: url.User(c.User), Host: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), Path: "/" + c.Database}
	if c.Host == "" || c.Host[0] == '/' { // a Unix socket
		u.Host = ""
	}
	return settings.URL(u.String())
}

// dbURL returns a URL with the scheme of db's driver, or "" for an unknown driver.
func dbURL(db *sql.DB) settings.URL {
	switch db.Driver().(type) {
	case *driver.MySQLDriver:
		return "mysql://handed-in"
	case *sqlitedriver.Driver:
		return "sqlite:handed-in"
	}
	return ""
}
