package withgorm

import (
	"database/sql"
	"testing"

	"github.com/libtnb/sqlite"
	"go.uber.org/goleak"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/ormtest"
	parleypostgres "github.com/parley-go/parley/postgres"
)

func TestMain(m *testing.M) {
	// gorm never stops the goroutine that expires prepared statements.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

func open(t *testing.T, name string, db *sql.DB, cfg gorm.Config) *gorm.DB {
	t.Helper()
	cfg.Logger = logger.Discard
	dialector := map[string]gorm.Dialector{
		"sqlite":   sqlite.New(sqlite.Config{Conn: db}),
		"postgres": postgres.New(postgres.Config{Conn: db}),
		"mysql":    mysql.New(mysql.Config{Conn: db}),
	}[name]
	orm, err := gorm.Open(dialector, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	return orm
}

func TestEventsArePublishedAndHandledWithGorm(t *testing.T) {
	for name, cfg := range map[string]gorm.Config{
		"default": {}, "prepared statements": {PrepareStmt: true, SkipDefaultTransaction: true},
	} {
		t.Run(name, func(t *testing.T) {
			ormtest.OnEachDatabase(t, func(t *testing.T, database string, db *sql.DB, outbox *parley.Outbox[parleypostgres.Tx]) ormtest.Recipe[parleypostgres.Tx] {
				return &Service{open(t, database, db, cfg), outbox}
			})
		})
	}
}

func TestWithoutATransactionNothingIsPublished(t *testing.T) {
	orm := open(t, "sqlite", ormtest.SQLite(t).DB(), gorm.Config{})
	if tx, err := txOf(orm); err == nil {
		t.Errorf("the transaction of a *gorm.DB outside of one is %v", tx)
	}
}

func TestASessionWithinATransactionLeavesTheOthersAlone(t *testing.T) {
	store := ormtest.SQLite(t)
	orm := open(t, "sqlite", store.DB(), gorm.Config{})
	before := orm.Statement.ConnPool
	err := store.InTx(t.Context(), func(tx *sql.Tx) error {
		if session := within(t.Context(), orm, tx); session.Statement.ConnPool != gorm.ConnPool(tx) {
			t.Error("the session does not use the transaction")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if orm.Statement.ConnPool != before {
		t.Error("the session has put all users of the *gorm.DB into its transaction")
	}
}
