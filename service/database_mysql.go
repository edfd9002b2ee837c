package service

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/service/settings"
)

// openMySQL opens the store on db. If db is nil, it opens pools of its own.
func openMySQL(s *settings.Settings, db *sql.DB) (database, error) {
	relay, store, err := mysqlStores(s, db)
	if err != nil {
		return nil, err
	}
	shut := func() error { return errors.Join(relay.Close(), store.Close()) }
	var native nativeStore[mysql.Tx] = store
	if s.Database.Table == DjangoTable {
		outbox, err := mysql.NewDjango(store.DB(), &mysql.DjangoConfig{AppID: s.AppID, WatchInterval: s.Database.WatchInterval, RelayDB: relay.DB()})
		if err != nil {
			return nil, errors.Join(err, shut())
		}
		native = overDjango[mysql.Tx]{outbox, store, store}
	}
	return newAdapter(native, store.Failures(),
		func(tx mysql.Tx) *Tx { return &Tx{SQL: tx} },
		func(tx *Tx) mysql.Tx { return tx.SQL },
		func(ctx context.Context, fn func(mysql.Tx) error) error {
			return store.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		},
		admin{
			operations: store,
			migrate:    store.Migrate,
			migrations: func(ctx context.Context) ([]Migration, error) { return migrationsOf(store.MigrationStatus(ctx)) },
			ping:       func(ctx context.Context) error { return pingDB(ctx, relay.DB(), store.DB()) },
			close:      shut,
			db:         store.DB(),
		}), nil
}

// mysqlStores returns a store for relay and health checks and one for handlers and publishers. With a db both are the same.
func mysqlStores(s *settings.Settings, db *sql.DB) (relay, store *mysql.Store, err error) {
	cfg := &mysql.Config{FailedTable: s.Consumer.Failures.Table, WatchInterval: s.Database.WatchInterval}
	if db != nil {
		store, err = mysql.New(db, cfg)
		return store, store, err
	}
	dsn, err := mysqlDSN(s.Database.URL)
	if err != nil {
		return nil, nil, err
	}
	address, err := driver.ParseDSN(dsn)
	if err == nil {
		_, err = mysqlTLS(address.Addr, &s.Database.TLS)
	}
	if err != nil {
		return nil, nil, s.Redact(err, dsn)
	}
	cfg.BeforeConnect = func(_ context.Context, c *driver.Config) (err error) {
		if own, err := mysqlTLS(c.Addr, &s.Database.TLS); err != nil {
			return err
		} else if own != nil {
			c.TLS = own
		}
		return mysqlLogin(s, c)
	}
	if relay, err = mysql.Open(dsn, &mysql.Config{BeforeConnect: cfg.BeforeConnect}); err != nil {
		return nil, nil, s.Redact(err, dsn)
	}
	cfg.RelayDB = relay.DB()
	if store, err = mysql.Open(dsn, cfg); err != nil {
		return nil, nil, errors.Join(s.Redact(err, dsn), relay.Close())
	}
	relay.DB().SetMaxOpenConns(relayConnections)
	store.DB().SetMaxOpenConns(s.Database.MaxConnections)
	return relay, store, nil
}

// mysqlLogin replaces user and password of c with those that the files of the settings contain now.
func mysqlLogin(s *settings.Settings, c *driver.Config) error {
	now, err := rereadDatabase(s)
	if now == nil || err != nil {
		return err
	}
	dsn, err := mysqlDSN(now.Database.URL)
	if err != nil {
		return now.Redact(err)
	}
	login, err := driver.ParseDSN(dsn)
	if err != nil {
		return now.Redact(err, dsn)
	}
	c.User, c.Passwd = login.User, login.Passwd
	return nil
}

// mysqlDSN converts mysql://user:password@host:port/name?parameters to the driver's DSN. The parameter socket is the path of a Unix
// socket, in place of host and port.
func mysqlDSN(s settings.URL) (string, error) {
	u, err := url.Parse(s.Reveal())
	if err != nil {
		return "", errors.New("database.url: not a URL (percent-encode special characters of the password)")
	}
	c := driver.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net = "tcp"
	c.Addr = net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), "3306"))
	c.DBName = strings.TrimPrefix(u.Path, "/")
	query := u.Query()
	if socket := query.Get("socket"); socket != "" {
		if u.Host != "" {
			return "", errors.New("database.url: has a host and a socket (write mysql://user@/name?socket=/run/mysqld/mysqld.sock)")
		}
		c.Net, c.Addr = "unix", socket
		query.Del("socket")
	}
	dsn := c.FormatDSN()
	if len(query) > 0 {
		separator := "?"
		if strings.Contains(dsn[strings.LastIndex(dsn, "/"):], "?") {
			separator = "&"
		}
		dsn += separator + query.Encode() // a slash, as in loc=Europe/Berlin, would end the address
	}
	if _, err := driver.ParseDSN(dsn); err != nil {
		return "", fmt.Errorf("database.url: %w (see the parameters of github.com/go-sql-driver/mysql)", err)
	}
	return dsn, nil
}
