package withbun

import (
	"database/sql"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/ormtest"
	"github.com/parley-go/parley/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsArePublishedAndHandledWithBun(t *testing.T) {
	ormtest.OnEachDatabase(t, func(_ *testing.T, database string, db *sql.DB, outbox *parley.Outbox[postgres.Tx]) ormtest.Recipe[postgres.Tx] {
		dialect := map[string]func() schema.Dialect{
			"sqlite":   func() schema.Dialect { return sqlitedialect.New() },
			"postgres": func() schema.Dialect { return pgdialect.New() },
			"mysql":    func() schema.Dialect { return mysqldialect.New() },
		}[database]
		return &Service{bun.NewDB(db, dialect()), outbox}
	})
}
