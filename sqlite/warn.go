package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	lib "modernc.org/sqlite/lib"
)

// warnSettings logs a warning if connections of db lack settings that they need beside a relay. It says nothing about what it cannot determine.
func (s *Store) warnSettings() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if missing := missingSettings(ctx, s.db); len(missing) > 0 {
		s.cfg.Logger.WarnContext(ctx, "sqlite: transactions can fail beside a relay (add the missing parameters to the data source name, or use sqlite.Open)",
			"file", s.file, "missing", strings.Join(missing, "&"))
	}
}

// missingSettings returns the parameters that the data source name of db lacks.
func missingSettings(ctx context.Context, db *sql.DB) (missing []string) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	immediate, err := beginsImmediate(ctx, conn)
	if err != nil {
		return nil // a writer is active, or the file is opened for reading only
	}
	if !immediate {
		missing = append(missing, "_txlock=immediate")
	}
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err == nil && mode != "wal" {
		missing = append(missing, "_pragma=journal_mode(WAL)")
	}
	var timeout int
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err == nil && timeout == 0 {
		missing = append(missing, "_pragma=busy_timeout(5000)")
	}
	return missing
}

// beginsImmediate reports whether a transaction of conn has the write lock from its beginning. SQLite refuses a checkpoint within a
// transaction that has begun to read or to write. A deferred transaction has done neither; a passive checkpoint never waits.
func beginsImmediate(ctx context.Context, conn *sql.Conn) (bool, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err // for example busy, which only an immediate transaction can be
	}
	defer tx.Rollback()
	var busy, pages, done int
	err = tx.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &done)
	if code(err)&0xff == lib.SQLITE_LOCKED { // by its own transaction
		return true, nil
	}
	return false, err
}
