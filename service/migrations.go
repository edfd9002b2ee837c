package service

import (
	"errors"
	"fmt"

	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/sqlite"
)

// A Migration is one step of the tables' history.
type Migration struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// migrationsOf converts a driver's list.
func migrationsOf[M postgres.Migration | mysql.Migration | sqlite.Migration](in []M, err error) ([]Migration, error) {
	out := make([]Migration, len(in))
	for i, m := range in {
		out[i] = Migration(m)
	}
	return out, err
}

// migrationSQL returns the statements of the database's migrations.
func migrationSQL(scheme string) (string, error) {
	switch scheme {
	case "postgres":
		return postgres.MigrationSQL()
	case "mysql", "mariadb":
		return mysql.MigrationSQL()
	case "sqlite":
		return sqlite.MigrationSQL()
	case "memory":
		return "", errors.New("a memory: database has no tables")
	}
	return "", fmt.Errorf("there are no migrations for %q: use postgres, mysql or sqlite", scheme)
}
