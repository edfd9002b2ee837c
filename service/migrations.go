package service

import (
	"errors"
	"fmt"

	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/sqlite"
)

// A Migration is one versioned change of the tables.
type Migration struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// migrationsOf converts the driver's list of migrations.
func migrationsOf[M postgres.Migration | mysql.Migration | sqlite.Migration](in []M, err error) ([]Migration, error) {
	out := make([]Migration, len(in))
	for i, m := range in {
		out[i] = Migration(m)
	}
	return out, err
}

// MigrationSQL returns the statements of what Service.Migrate does on a new database of a kind: postgres, mysql or sqlite. It heeds
// database.schema, database.poll_only and consumer.failures.table. It does not connect.
func MigrationSQL(scheme string, s *settings.Settings) (string, error) {
	if s.Database.Schema != "" && scheme != "postgres" {
		return "", errors.New("database.schema: is supported on PostgreSQL only (leave it out)")
	}
	failedTable := s.Consumer.Failures.Table
	switch scheme {
	case "postgres":
		return postgres.MigrationSQL(&postgres.Config{Schema: s.Database.Schema, FailedTable: failedTable, PollOnly: s.Database.PollOnly})
	case "mysql", "mariadb":
		return mysql.MigrationSQL(&mysql.Config{FailedTable: failedTable})
	case "sqlite":
		return sqlite.MigrationSQL(&sqlite.Config{FailedTable: failedTable})
	case "memory":
		return "", errors.New("memory: has no tables")
	}
	return "", fmt.Errorf("no migrations for %q (use postgres, mysql or sqlite)", scheme)
}
