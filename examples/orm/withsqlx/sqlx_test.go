package withsqlx

import (
	"database/sql"
	"testing"

	"github.com/jmoiron/sqlx"
	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/ormtest"
	"github.com/parley-go/parley/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsArePublishedAndHandledWithSqlx(t *testing.T) {
	driver := map[string]string{"sqlite": "sqlite3", "postgres": "pgx", "mysql": "mysql"} // sqlx chooses the placeholders by it
	ormtest.OnEachDatabase(t, func(_ *testing.T, database string, db *sql.DB, outbox *parley.Outbox[postgres.Tx]) ormtest.Recipe[postgres.Tx] {
		return &Service{sqlx.NewDb(db, driver[database]), outbox}
	})
}
