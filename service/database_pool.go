package service

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley/service/settings"
)

// relayConnections is the most connections of relay, health checks and metrics. Handlers have a pool of their own.
const relayConnections = 6

// errBusy means that the database is reachable but all connections are in use.
var errBusy = errors.New("all connections are in use")

// pingPool asks the server on a connection of the relay's pool whether it accepts writes. It returns errBusy if a pool has no free connection.
func pingPool(ctx context.Context, relay, handlers *pgxpool.Pool) error {
	saturated := func(p *pgxpool.Pool) bool { st := p.Stat(); return st.AcquiredConns() >= st.MaxConns() }
	return busyOr(pingPostgres(ctx, relay), saturated(relay), saturated(handlers))
}

// pingDB is pingPool for MySQL and MariaDB.
func pingDB(ctx context.Context, relay, handlers *sql.DB) error {
	saturated := func(db *sql.DB) bool {
		st := db.Stats()
		return st.MaxOpenConnections > 0 && st.InUse >= st.MaxOpenConnections
	}
	return busyOr(pingMySQL(ctx, relay), saturated(relay), saturated(handlers))
}

// busyOr returns errBusy if a pool without a free connection explains the outcome of a ping, and err otherwise.
func busyOr(err error, relay, handlers bool) error {
	waited := relay && errors.Is(err, context.DeadlineExceeded)
	if waited || err == nil && handlers {
		return errBusy
	}
	return err
}

// rereadDatabase returns the settings of the database as their files are now. It returns nil if no file contains the login.
func rereadDatabase(s *settings.Settings) (*settings.Settings, error) {
	if s.Database.URLFile == "" && s.Database.PasswordFile == "" {
		return nil, nil
	}
	return s.RereadDatabase()
}
