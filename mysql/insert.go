package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/parley-go/parley/internal/sqlstore"
)

// A server holds the properties of the server that the store needs.
type server struct {
	returning bool // INSERT ... RETURNING: supported by MariaDB since 10.5, not by MySQL
}

// ask detects the server once, on the caller's connection.
func (s *Store) ask(ctx context.Context, tx sqlstore.Tx) (*server, error) {
	if known := s.server.Load(); known != nil {
		return known, nil
	}
	var version, charset string
	if err := tx.QueryRowContext(ctx, "SELECT VERSION(), @@character_set_client").Scan(&version, &charset); err != nil {
		return nil, fmt.Errorf("read the server's version: %w", err)
	}
	if charset != "utf8mb4" {
		return nil, fmt.Errorf("the connection's character set is %s, which cannot represent every message (set charset=utf8mb4 in the DSN)", charset)
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

// insertCounting computes the ids from the first one. The server knows the number of rows
// before the statement starts ("simple insert"). For that InnoDB assigns consecutive values in
// every innodb_autoinc_lock_mode, with steps of auto_increment_increment (MySQL manual,
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
			return fmt.Errorf("read the step of ids: %w", err)
		}
	}
	for i := range ids {
		ids[i] = first + int64(i)*step
	}
	return nil
}
