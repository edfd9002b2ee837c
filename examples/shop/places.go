package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/sqlite"
)

// noDelays turns off delayed retries: no message of this example fails, so it needs no
// retry queues.
var noDelays = []time.Duration{}

// runEmbedded runs each service on a SQLite file of its own.
func runEmbedded(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "parley-shop-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var stores []*sqlite.Store
	defer func() {
		for _, s := range stores {
			err = errors.Join(err, s.Close())
		}
	}()
	return play(ctx, out, newContracts(""), memory.NewBroker(nil), func(name string) (*database[sqlite.Tx], error) {
		store, err := sqlite.Open(filepath.Join(dir, name+".db"), nil)
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
		return &database[sqlite.Tx]{
			store: store,
			inTx: func(ctx context.Context, fn func(sqlite.Tx) error) error {
				return store.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
			},
			exec: func(ctx context.Context, statement string) error {
				_, err := store.DB().ExecContext(ctx, statement)
				return err
			},
		}, store.Migrate(ctx)
	})
}

// runOnServers runs each service in a schema of its own, and deletes everything at the end.
func runOnServers(ctx context.Context, out io.Writer, databaseURL, brokerURL string) (err error) {
	prefix := "shop_" + strconv.FormatInt(time.Now().UnixNano(), 36) + "_"
	broker, err := rabbitmq.New(&rabbitmq.Config{URL: cmp.Or(brokerURL, "amqp://guest:guest@127.0.0.1:5672/")})
	if err != nil {
		return err
	}
	c := newContracts(prefix)
	defer func() { err = errors.Join(err, clearBroker(broker, c)) }()
	var schemas []*sql.DB
	defer func() {
		for _, db := range schemas {
			err = errors.Join(err, dropSchema(db))
		}
	}()
	return play(ctx, out, c, broker, func(name string) (*database[postgres.Tx], error) {
		db, err := openSchema(ctx, cmp.Or(databaseURL, "postgres://postgres@127.0.0.1:5432/postgres"), name)
		if err != nil {
			return nil, err
		}
		schemas = append(schemas, db)
		store, err := postgres.NewSQL(db, nil)
		if err != nil {
			return nil, err
		}
		return &database[postgres.Tx]{
			store: store,
			inTx:  func(ctx context.Context, fn func(postgres.Tx) error) error { return inTx(ctx, db, fn) },
			exec: func(ctx context.Context, statement string) error {
				_, err := db.ExecContext(ctx, statement)
				return err
			},
		}, store.Migrate(ctx)
	})
}

func inTx(ctx context.Context, db *sql.DB, fn func(postgres.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no-op after the commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// openSchema creates a schema and returns a pool that uses it.
func openSchema(ctx context.Context, url, name string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["search_path"] = name
	db := stdlib.OpenDB(*cfg)
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA "+name); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func dropSchema(db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var name string
	if err := db.QueryRowContext(ctx, "SELECT current_schema()").Scan(&name); err != nil {
		return errors.Join(err, db.Close())
	}
	if !strings.HasPrefix(name, "shop_") {
		return errors.Join(errors.New("not a schema of the shop: "+name), db.Close())
	}
	_, err := db.ExecContext(ctx, "DROP SCHEMA "+name+" CASCADE")
	return errors.Join(err, db.Close())
}

func clearBroker(b *rabbitmq.Broker, c *contracts) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, name := range []string{"users", "notifications", "pricing"} {
		queue := c.prefix + name
		errs = append(errs, b.DeleteQueue(ctx, queue), b.DeleteQueue(ctx, parley.ParkedQueue(queue)))
	}
	for _, name := range []string{c.prefix + "users", c.Registered.Exchange(), c.SendSMS.Exchange(), c.Quote.Exchange()} {
		errs = append(errs, b.DeleteExchange(ctx, name))
	}
	return errors.Join(append(errs, b.Close(ctx))...)
}
