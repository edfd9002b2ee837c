package service

import (
	"errors"
	"fmt"

	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/postgres"
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

// MigrationSQL returns the statements of all migrations of a kind of database: postgres, mysql or sqlite.
func MigrationSQL(scheme string) (string, error) {
	switch scheme {
	case "postgres":
		return postgres.MigrationSQL()
	case "mysql", "mariadb":
		return mysql.MigrationSQL()
	case "sqlite":
		return sqlite.MigrationSQL()
	case "memory":
		return "", errors.New("memory: has no tables")
	}
	return "", fmt.Errorf("no migrations for %q (use postgres, mysql or sqlite)", scheme)
}
