package service

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley/mysql"
)

func openMySQL(s *Settings) (database, error) {
	dsn, err := mysqlDSN(s.Database.URL)
	if err != nil {
		return nil, err
	}
	store, err := mysql.Open(dsn, nil)
	if err != nil {
		return nil, redacted(err, append(s.secrets(), dsn)...)
	}
	store.DB().SetMaxOpenConns(s.Database.MaxConnections)
	var native nativeStore[mysql.Tx] = store
	if s.Database.Table == djangoTable {
		outbox, err := mysql.NewDjango(store.DB(), &mysql.DjangoConfig{AppID: s.AppID})
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		native = overDjango[mysql.Tx]{outbox, store, store}
	}
	return newAdapter(native,
		func(tx mysql.Tx) *Tx { return &Tx{SQL: tx} },
		func(tx *Tx) mysql.Tx { return tx.SQL },
		func(ctx context.Context, fn func(mysql.Tx) error) error {
			return store.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		},
		admin{
			migrate:    store.Migrate,
			migrations: func(ctx context.Context) ([]Migration, error) { return migrationsOf(store.MigrationStatus(ctx)) },
			ping:       store.DB().PingContext,
			close:      store.Close,
		}), nil
}

// mysqlDSN turns mysql://user:password@host:port/name?parameters into the driver's form.
func mysqlDSN(s URL) (string, error) {
	u, err := url.Parse(s.Reveal())
	if err != nil {
		return "", wrong("database.url is not a URL", "percent-encode special characters of the password")
	}
	c := driver.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net = "tcp"
	c.Addr = net.JoinHostPort(or(u.Hostname(), "127.0.0.1"), or(u.Port(), "3306"))
	c.DBName = strings.TrimPrefix(u.Path, "/")
	dsn := c.FormatDSN()
	switch {
	case u.RawQuery == "":
	case strings.Contains(dsn[strings.LastIndex(dsn, "/"):], "?"):
		dsn += "&" + u.RawQuery
	default:
		dsn += "?" + u.RawQuery
	}
	return dsn, nil
}
