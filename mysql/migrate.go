package mysql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	driver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/parley-go/parley/internal/sqlstore"
)

//go:embed migrations/*.sql
var files embed.FS

var migrations = sqlstore.Migrations{Files: files, Dialect: goose.DialectMySQL}

// A Migration is one step in the history of the tables.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// Migrate brings the tables up to date, and the table of failed deliveries if Config.FailedTable sets another name (its
// versions are in <table>_migrations). Several processes may call it at once: they wait
// for each other, up to a minute.
//
// A statement may take long on a large table. A store of Open migrates over connections without a read timeout, also if its DSN sets one. A
// store of New migrates over its *sql.DB: migrate with one whose DSN has no readTimeout.
func (s *Store) Migrate(ctx context.Context) error {
	return fail("migrate", s.migrate(ctx))
}

func (s *Store) migrate(ctx context.Context) (err error) {
	if err := s.checkSession(ctx); err != nil {
		return err
	}
	if s.unhurried == nil {
		err := s.migrateOn(ctx, s.db)
		if errors.Is(err, driver.ErrInvalidConn) {
			err = fmt.Errorf("%w (does the DSN of this *sql.DB have a readTimeout? Then migrate with one without it)", err)
		}
		return err
	}
	connector, err := driver.NewConnector(s.unhurried)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(s.db.Stats().MaxOpenConnections)
	return s.migrateOn(ctx, db)
}

// migrateOn migrates over db.
func (s *Store) migrateOn(ctx context.Context, db *sql.DB) (err error) {
	if db.Stats().MaxOpenConnections == 1 {
		return migrations.UpAll(ctx, db, s.cfg.FailedTable) // no second connection for the lock
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	const name = "CONCAT('parley_migrations:', LEFT(SHA2(DATABASE(), 256), 32))" // locks apply to the whole server
	var got bool
	if err := conn.QueryRowContext(ctx, "SELECT COALESCE(GET_LOCK("+name+", 60), 0)").Scan(&got); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	if !got {
		return errors.New("another migration has been running for a minute")
	}
	err = migrations.UpAll(ctx, db, s.cfg.FailedTable)
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+name+")")
	return errors.Join(err, unlock)
}

// MigrationStatus lists the migrations, in order, and which of them are applied.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	out, err := sqlstore.StatusAs[Migration](ctx, migrations, s.db, s.cfg.FailedTable)
	return out, fail("migration status", err)
}

// MigrationSQL returns the statements of what Migrate does on a new database, for teams that apply migrations themselves. They record
// the versions as well. It heeds Config.FailedTable; cfg may be nil.
func MigrationSQL(cfg *Config) (string, error) {
	failedTable := ""
	if cfg != nil {
		failedTable = cfg.FailedTable
	}
	text, err := migrations.SQLAll(failedTable)
	return text, fail("read migrations", err)
}
