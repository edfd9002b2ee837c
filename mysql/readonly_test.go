package mysql_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"sync/atomic"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

// A failover connects to a standby or to the primary. Here both are one server; a session on the standby is read-only.
type failover struct {
	primary, standby sqldriver.Connector
	demoted          atomic.Bool
}

func (f *failover) Connect(ctx context.Context) (sqldriver.Conn, error) {
	if f.demoted.Load() {
		return f.standby.Connect(ctx)
	}
	return f.primary.Connect(ctx)
}

func (f *failover) Driver() sqldriver.Driver { return f.primary.Driver() }

func newFailover(t *testing.T, dsn string, mysqlServer bool) *failover {
	t.Helper()
	connector := func(params map[string]string) sqldriver.Connector {
		cfg, err := driver.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Params = params
		c, err := driver.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	variable := "tx_read_only"
	if mysqlServer {
		variable = "transaction_read_only"
	}
	return &failover{primary: connector(nil), standby: connector(map[string]string{variable: "1"})}
}

// After a failover the pool may keep its sessions on the old primary. A write that is refused removes the session from the pool,
// so that the next attempt gets another one.
func TestSessionsThatAreReadOnlyLeaveThePool(t *testing.T) {
	dsn := testenv.MariaDB(t)
	owner := openDSN(t, dsn)
	f := newFailover(t, dsn, isMySQL(t, owner))
	db := sql.OpenDB(f)
	defer db.Close()
	db.SetMaxOpenConns(1)
	store, err := mysql.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.DB().ExecContext(t.Context(), "CREATE TABLE seen (n int)"); err != nil {
		t.Fatal(err)
	}
	insertSeen := func(ctx context.Context, tx mysql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO seen VALUES (1)")
		return err
	}
	once := 0
	for name, write := range map[string]func(ctx context.Context) error{
		"a producer in InTx": func(ctx context.Context) error {
			return store.InTx(ctx, func(tx *sql.Tx) error { return insertSeen(ctx, tx) })
		},
		"a handler with an identity": func(ctx context.Context) error {
			once++
			return store.Once(ctx, "mail", "id:"+string(rune('a'+once)), func(context.Context, mysql.Tx) error { return nil })
		},
		"a handler without an identity": func(ctx context.Context) error { return store.Once(ctx, "mail", "", insertSeen) },
		"a failed delivery": func(ctx context.Context) error {
			_, err := store.Failures().Keep(ctx, "mail", []parley.Failure{failed([]byte("{}"))})
			return err
		},
		"a relay": func(ctx context.Context) error {
			insert(t, owner, parley.Record{Message: parley.Message{Exchange: "x", Kind: parley.KindEvent, Body: []byte("{}")}})
			b, err := store.Claim(ctx, parley.ClaimOptions{Limit: 1, MaxBytes: 1 << 20})
			if err != nil {
				return err
			}
			defer b.Release(ctx)
			_, err = b.Settle(ctx, []int64{b.Records()[0].ID}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.demoted.Store(true)
			db.SetMaxIdleConns(-1) // the earlier session ends
			db.SetMaxIdleConns(1)
			if err := write(t.Context()); err == nil {
				t.Fatal("a read-only session has written")
			}
			f.demoted.Store(false)
			if err := write(t.Context()); err != nil {
				t.Errorf("the primary is writable, but the session in the pool is not: %v", err)
			}
		})
	}
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d connections were not returned to the pool", n)
	}
}
