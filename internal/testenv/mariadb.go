package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// lockWait is how long, in seconds, the removal of a database waits for a transaction
// that a test left open. The server's own limit is a day.
const lockWait = 10

func mariadbHostPort(address string) (string, error) {
	cfg, err := mysql.ParseDSN(address)
	if err != nil {
		return "", errors.New("not a DSN: want user:password@tcp(host:port)/")
	}
	return cfg.Addr, nil
}

func mariadbVersion(ctx context.Context, address string) (string, error) {
	var v string
	err := withMariaDB(address, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "select version()").Scan(&v)
	})
	return v, err
}

func createMariaDB(ctx context.Context, address, name string) (string, error) {
	err := withMariaDB(address, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "create database `"+name+"` character set utf8mb4")
		return err
	})
	if err != nil {
		return "", err
	}
	cfg, err := mysql.ParseDSN(address)
	if err != nil {
		return "", err
	}
	cfg.DBName = name
	return cfg.FormatDSN(), nil
}

func dropMariaDB(ctx context.Context, address, name string) error {
	return withMariaDB(address, func(db *sql.DB) error {
		db.SetMaxOpenConns(1) // both statements on one session
		if _, err := db.ExecContext(ctx, fmt.Sprintf("set lock_wait_timeout = %d", lockWait)); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "drop database if exists `"+name+"`")
		if e, ok := errors.AsType[*mysql.MySQLError](err); ok && e.Number == 1205 {
			return fmt.Errorf("%w (has the test left a transaction or connection open?)", err)
		}
		return err
	})
}

func withMariaDB(address string, do func(*sql.DB) error) error {
	db, err := sql.Open("mysql", address)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}
