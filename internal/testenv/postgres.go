package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/jackc/pgx/v5"
)

func postgresURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL") // url.Error would print the password
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("scheme %q: want postgres://user@host:port/database", u.Scheme)
	}
	return u, nil
}

func postgresHostPort(address string) (string, error) {
	if _, err := postgresURL(address); err != nil {
		return "", err
	}
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return "", err // pgx leaves the password out
	}
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))), nil
}

func postgresVersion(ctx context.Context, address string) (string, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return conn.PgConn().ParameterStatus("server_version"), nil
}

// createPostgres copies template0, which takes no connections: template1 may be
// in use by a psql left open, and then CREATE DATABASE is refused.
func createPostgres(ctx context.Context, address, name string) (string, error) {
	statement := "create database " + pgx.Identifier{name}.Sanitize() + " template template0"
	if err := execPostgres(ctx, address, statement); err != nil {
		return "", err
	}
	u, err := postgresURL(address)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func dropPostgres(ctx context.Context, address, name string) error {
	return execPostgres(ctx, address, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
}

func execPostgres(ctx context.Context, address, statement string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
