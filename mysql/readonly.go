package mysql

import (
	"context"
	"database/sql"
	"errors"
)

// errReadOnly: the server refuses the writes of ordinary accounts, as a standby does.
var errReadOnly = errors.New("the database is a read-only standby (read_only is on)")

// isReadOnly reports whether err means that the server, or the session, accepts no writes. After a failover the pool would keep
// its sessions on the old primary, so such a session must be closed. The next one goes to the server that the address names then.
func isReadOnly(err error) bool {
	switch number(err) {
	case 1290, 1792, 1836: // prevented by read_only, read-only transaction, read-only mode
		return true
	}
	return errors.Is(err, errReadOnly)
}

// isOn reads a server variable, which newer servers may report as a word.
func isOn(value string) bool { return value != "0" && value != "OFF" }

// readOnly reports whether the server is read-only. super_read_only implies read_only.
func (s *Store) readOnly(ctx context.Context) (bool, error) {
	var readOnly, engine string
	err := s.relay.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only").Scan(&readOnly, &engine)
	return err == nil && (isOn(readOnly) || isOn(engine)), err
}

// beginSession begins a transaction at READ COMMITTED. end rolls back unless the transaction has ended, and returns the
// session to the pool, or discards it if the transaction failed with cause because the session is read-only.
// beginSession retries while the pool has broken connections, as sql.DB does.
func beginSession(ctx context.Context, db *sql.DB) (tx *sql.Tx, end func(cause error), err error) {
	for tries := db.Stats().OpenConnections; ; tries-- {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		tx, err := conn.BeginTx(ctx, readCommitted)
		if err == nil {
			return tx, func(cause error) {
				_ = tx.Rollback() // a no-op after the commit
				if isReadOnly(cause) {
					discard(conn)
				}
				_ = conn.Close() // the transaction has ended
			}, nil
		}
		_ = conn.Close() // it may be broken
		if !isBadConn(err) || tries <= 0 {
			return nil, nil, err
		}
	}
}
