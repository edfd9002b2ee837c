package service

import (
	"context"
	"database/sql"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/sqlite"
)

// useAndClose runs a service on the pool of cfg until an event has reached its handler, and closes the service.
func useAndClose(t *testing.T, cfg *Config) {
	t.Helper()
	broker := memory.NewBroker(nil)
	cfg.Broker, cfg.LogOutput = broker, io.Discard
	s, err := Open(&settings.Settings{AppID: "test", Queue: "q", Exchanges: []settings.Exchange{{Name: "user"}}, Binds: []settings.Bind{{Exchange: "user"}}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.Pgx() != cfg.Pool || s.DB() != cfg.DB {
		t.Error("the service does not return the pools that were handed in")
	}
	publish(t, migrated(t, s), renamed, 7)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	parley.OnTx(s.Router, s.Inbox, renamed, func(_ context.Context, _ *Tx, e parley.Event[user]) error {
		if e.Payload.ID != 7 {
			t.Errorf("handled user %d, want 7", e.Payload.ID)
		}
		cancel()
		return nil
	})
	if err := s.Run(ctx, PartRelay|PartConsumer); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := broker.Ready(t.Context()); err != nil {
		t.Errorf("the service has closed the broker that was handed in: %v", err)
	}
}

func TestAPoolThatIsHandedInIsUsedAndLeftOpen(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	useAndClose(t, &Config{Pool: pool})
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("the service has closed the pool: %v", err)
	}
}

func TestADatabaseThatIsHandedInIsUsedAndLeftOpen(t *testing.T) {
	onMySQL, err := mysql.Open(testenv.MariaDB(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer onMySQL.Close()
	onSQLite, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer onSQLite.Close()
	for name, db := range map[string]*sql.DB{"MariaDB": onMySQL.DB(), "SQLite": onSQLite.DB()} {
		t.Run(name, func(t *testing.T) {
			useAndClose(t, &Config{DB: db})
			if err := db.PingContext(t.Context()); err != nil {
				t.Errorf("the service has closed the database: %v", err)
			}
		})
	}
}

func TestHandedInPoolsMustMatchTheSettings(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/x")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := mysql.Open("user@tcp(127.0.0.1:1)/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for want, tt := range map[string]struct {
		url settings.URL
		cfg Config
	}{
		"a service has one database":                 {"", Config{Pool: pool, DB: store.DB()}},
		"Config.Pool is for PostgreSQL":              {"sqlite:x.db", Config{Pool: pool}},
		"Config.DB is for MySQL, MariaDB and SQLite": {"postgres://127.0.0.1/x", Config{DB: store.DB()}},
	} {
		if _, err := Open(&settings.Settings{Database: settings.Database{URL: tt.url}}, &tt.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}
