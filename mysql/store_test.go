package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/parleytest"
)

var (
	_ parley.RelayWaker          = (*mysql.Store)(nil)
	_ parleytest.Store[mysql.Tx] = (*mysql.Store)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreAtReadCommitted(t *testing.T) {
	testStore(t, open, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
}

// The isolation level is the server's default, REPEATABLE READ. The session's clock is five hours
// behind UTC, the driver's times are local, matched rows count as changed, statements are
// prepared on the server, changes without a key are refused (sql_safe_updates), and values are not checked (sql_mode).
func TestStoreOnADatabaseWithOtherSettings(t *testing.T) {
	testenv.Long(t, "takes 10 seconds, and the same suite runs with the usual settings")
	testStore(t, openPlain, nil)
}

func testStore(t *testing.T, open func(t testing.TB) *mysql.Store, isolation *sql.TxOptions) {
	parleytest.TestStore(t, func(t *testing.T) parleytest.StoreUnderTest[mysql.Tx] {
		return underTest(open(t), isolation)
	})
}

func openPlain(t testing.TB) *mysql.Store {
	t.Helper()
	db, err := sql.Open("mysql", testenv.MariaDB(t)+"?time_zone=%27-05:00%27&parseTime=true&loc=Local&clientFoundRows=true&sql_safe_updates=1&sql_mode=%27%27")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := mysql.New(db, nil)
	if err == nil {
		err = s.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func underTest(s *mysql.Store, isolation *sql.TxOptions) parleytest.StoreUnderTest[mysql.Tx] {
	return parleytest.StoreUnderTest[mysql.Tx]{
		Store:    s,
		Begin:    func(ctx context.Context) (mysql.Tx, error) { return s.DB().BeginTx(ctx, isolation) },
		Commit:   func(_ context.Context, tx mysql.Tx) error { return tx.Commit() },
		Rollback: func(_ context.Context, tx mysql.Tx) error { return tx.Rollback() },
	}
}

// open returns a migrated store on a database of its own.
func open(t testing.TB) *mysql.Store {
	t.Helper()
	return openDSN(t, testenv.MariaDB(t))
}

func openDSN(t testing.TB, dsn string) *mysql.Store {
	t.Helper()
	s, err := mysql.Open(dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
