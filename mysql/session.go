package mysql

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
)

// errNoAutocommit: with autocommit off a query begins a transaction that never ends, so later queries for
// new records see the table as it was at the first one.
var errNoAutocommit = errors.New("the connection has autocommit=0, with which a relay never sees new records (remove it from the DSN)")

// checkSession refuses connections on which the store cannot work, and reads the limit of packets, once per store: all
// connections of a pool have the same DSN.
func (s *Store) checkSession(ctx context.Context) error {
	if s.sessionChecked.Load() {
		return nil
	}
	var autocommit bool
	var packet int64
	if err := s.relay.QueryRowContext(ctx, "SELECT @@SESSION.autocommit, @@max_allowed_packet").Scan(&autocommit, &packet); err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	s.maxPacket.Store(packet)
	if !autocommit {
		return errNoAutocommit
	}
	s.sessionChecked.Store(true)
	return nil
}

func isBadConn(err error) bool { return errors.Is(err, sqldriver.ErrBadConn) }

// discard makes the pool close a connection when it is returned.
func discard(conn *sql.Conn) { _ = conn.Raw(func(any) error { return sqldriver.ErrBadConn }) }
