package mysql

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"

	"github.com/parley-go/parley/internal/sqlstore"
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

// errBroken: InnoDB rolls back the whole transaction of a deadlock's victim. If its function treats the error as harmless, later
// statements run outside of the transaction, and a COMMIT succeeds although the changes before it are lost.
var errBroken = errors.New("the server has rolled the transaction back before its commit (return every database error from the function: " +
	"after a deadlock, error 1213, the transaction has ended), or a statement that changes tables, such as DROP TABLE, has committed it")

const savepoint = "parley_begun"

// mark sets a savepoint, by which unbroken recognises the transaction.
func mark(ctx context.Context, tx sqlstore.Tx) error {
	_, err := tx.ExecContext(ctx, "SAVEPOINT "+savepoint)
	return err
}

// unbroken returns errBroken if the server has ended the transaction. The proof of the transaction is the identity that it has recorded,
// which saves a round trip, or the savepoint. If another process has recorded the same identity after the rollback, that process has
// handled the message. MariaDB's @@in_transaction would be cheaper, but MySQL may begin another transaction by itself.
func unbroken(ctx context.Context, tx sqlstore.Tx, consumer, identity string) error {
	if identity == "" {
		_, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint)
		if number(err) == 1305 {
			err = errBroken
		}
		return err
	}
	recorded := false
	err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM parley_inbox WHERE digest = ?)", inboxDigest(consumer, identity)).Scan(&recorded)
	if err == nil && !recorded {
		err = errBroken
	}
	return err
}
