package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/parley-go/parley/internal/sqlstore"
)

// A server is what we need to know of it.
type server struct {
	returning bool // INSERT ... RETURNING: MariaDB has it since 10.5, MySQL has not
}

// ask finds out which server it is, once, on the caller's connection.
func (s *Store) ask(ctx context.Context, tx sqlstore.Tx) (*server, error) {
	if known := s.server.Load(); known != nil {
		return known, nil
	}
	var version, charset string
	if err := tx.QueryRowContext(ctx, "SELECT VERSION(), @@character_set_client").Scan(&version, &charset); err != nil {
		return nil, fmt.Errorf("ask for the server's version: %w", err)
	}
	if charset != "utf8mb4" {
		return nil, fmt.Errorf("the connection's character set is %s, which cannot hold every message: set charset=utf8mb4 in the DSN", charset)
	}
	known := &server{returning: strings.Contains(strings.ToLower(version), "mariadb")}
	s.server.Store(known)
	return known, nil
}

func (s *Store) insert(ctx context.Context, tx sqlstore.Tx, query string, args []any, ids []int64) error {
	known, err := s.ask(ctx, tx)
	if err != nil {
		return err
	}
	if !known.returning {
		return insertCounting(ctx, tx, query, args, ids)
	}
	i := 0
	return sqlstore.Each(ctx, tx, query+" RETURNING id", args, func(rows *sql.Rows) error {
		i++
		return rows.Scan(&ids[i-1])
	})
}

// insertCounting computes the ids from the first one. The number of rows is known to the
// server before it starts ("simple insert"), for which InnoDB gives consecutive values in
// every innodb_autoinc_lock_mode, auto_increment_increment apart (MySQL manual,
// "AUTO_INCREMENT Handling in InnoDB").
func insertCounting(ctx context.Context, tx sqlstore.Tx, query string, args []any, ids []int64) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	first, err := res.LastInsertId()
	if err != nil {
		return err
	}
	step := int64(1)
	if len(ids) > 1 {
		if err := tx.QueryRowContext(ctx, "SELECT @@SESSION.auto_increment_increment").Scan(&step); err != nil {
			return fmt.Errorf("ask for the step of ids: %w", err)
		}
	}
	for i := range ids {
		ids[i] = first + int64(i)*step
	}
	return nil
}
