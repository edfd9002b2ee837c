package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
)

// Server is a kind of server that tests can ask for.
type Server struct {
	// Name is the product name.
	Name string
	// Variable is the environment variable that gives its address.
	Variable string
	// Default is the address tried when Variable is empty: the usual port on
	// 127.0.0.1 and the account of a fresh installation.
	Default string

	hostPort func(address string) (string, error)
	version  func(ctx context.Context, address string) (string, error)
}

// The servers that tests can use.
var (
	// PostgreSQL is addressed by a postgres:// URL whose account may create databases.
	PostgreSQL = Server{
		Name:     "PostgreSQL",
		Variable: "PARLEY_TEST_POSTGRES_URL",
		Default:  "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable",
		hostPort: postgresHostPort,
		version:  postgresVersion,
	}
	// MariaDBServer is addressed by a DSN of go-sql-driver/mysql, its account may
	// create databases. MySQL serves as well.
	MariaDBServer = Server{
		Name:     "MariaDB",
		Variable: "PARLEY_TEST_MARIADB_DSN",
		Default:  "root@tcp(127.0.0.1:3306)/",
		hostPort: mariadbHostPort,
		version:  mariadbVersion,
	}
	// RabbitMQServer is addressed by an amqp:// or amqps:// URL.
	RabbitMQServer = Server{
		Name:     "RabbitMQ",
		Variable: "PARLEY_TEST_RABBITMQ_URL",
		Default:  "amqp://guest:guest@127.0.0.1:5672/",
		hostPort: rabbitHostPort,
		version:  rabbitVersion,
	}
)

// Servers returns all servers that tests can use, in a fixed order.
func Servers() []Server { return []Server{PostgreSQL, MariaDBServer, RabbitMQServer} }

// Endpoint is a server that has answered.
type Endpoint struct {
	Server Server
	// Address is what a client connects with. It may hold a password: print
	// HostPort instead.
	Address string
	// Version is the version that the server reports.
	Version string
}

// HostPort returns host and port of the endpoint, without account or password.
func (e Endpoint) HostPort() string {
	hp, err := e.Server.hostPort(e.Address)
	if err != nil {
		return "(unreadable address)"
	}
	return hp
}

// MissingError reports that a server was neither given by its environment variable
// nor found, usable, at its default address.
type MissingError struct {
	Server Server
	// Listening reports whether a server answers at the default address but rejects the
	// default account.
	Listening bool
	// Cause is the error at the default address.
	Cause error
}

// Error names the server, the cause, and the two ways to fix it.
func (e *MissingError) Error() string {
	hp, _ := e.Server.hostPort(e.Server.Default)
	if e.Listening {
		return fmt.Sprintf("%s at %s rejects the default account: %v (set %s, for example to %s)",
			e.Server.Name, hp, e.Cause, e.Server.Variable, e.Server.Default)
	}
	return fmt.Sprintf("no %s: nothing listens on %s (run \"make test\", which starts one, or set %s, for example to %s)",
		e.Server.Name, hp, e.Server.Variable, e.Server.Default)
}

// Unwrap returns the cause.
func (e *MissingError) Unwrap() error { return e.Cause }

// Locate returns the server that the environment variable names, else the one at the
// default address. It has logged in once to check it. The error is a *MissingError when the
// variable is empty and the default address does not work. A variable that names a server
// that does not answer, or an address that cannot be parsed, is another error.
func (s Server) Locate(ctx context.Context) (Endpoint, error) {
	address := os.Getenv(s.Variable)
	if address != "" {
		v, err := s.Version(ctx, address)
		if err != nil {
			return Endpoint{}, fmt.Errorf("testenv: %s given by %s: %w", s.Name, s.Variable, err)
		}
		return Endpoint{Server: s, Address: address, Version: v}, nil
	}
	hp, err := s.hostPort(s.Default)
	if err != nil {
		return Endpoint{}, err
	}
	if err := dial(ctx, hp); err != nil {
		return Endpoint{}, &MissingError{Server: s, Cause: err}
	}
	v, err := s.Version(ctx, s.Default)
	if err != nil {
		return Endpoint{}, &MissingError{Server: s, Listening: true, Cause: err}
	}
	return Endpoint{Server: s, Address: s.Default, Version: v}, nil
}

// Version logs in at address, logs out again and returns the server's version. An
// address that cannot be parsed, a refused connection and a rejected login are errors.
// No error contains the password.
func (s Server) Version(ctx context.Context, address string) (string, error) {
	hp, err := s.hostPort(address)
	if err != nil {
		return "", fmt.Errorf("parse its address: %w", err)
	}
	v, err := s.version(ctx, address)
	if err != nil {
		return "", fmt.Errorf("log in at %s: %w", hp, err)
	}
	return v, nil
}

func dial(ctx context.Context, hostPort string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return err
	}
	return conn.Close()
}
