// Command quickstart publishes an event in a PostgreSQL transaction and receives it through
// RabbitMQ. It reads PARLEY_DATABASE_URL and PARLEY_BROKER_URL, works in a schema and with
// an exchange and queues of its own, and deletes them at the end.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/rabbitmq"
)

const (
	localDatabase = "postgres://postgres@127.0.0.1:5432/postgres"
	localBroker   = "amqp://guest:guest@127.0.0.1:5672/"
)

// User is the payload of the events.
type User struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := run(ctx, os.Stdout,
		cmp.Or(os.Getenv("PARLEY_DATABASE_URL"), localDatabase), cmp.Or(os.Getenv("PARLEY_BROKER_URL"), localBroker))
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, databaseURL, brokerURL string) (err error) {
	name := "parley_quickstart_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	db, err := openDatabase(ctx, databaseURL, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.remove()) }()
	broker, err := rabbitmq.New(&rabbitmq.Config{URL: brokerURL})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeFrom(broker, name)) }()
	return tell(ctx, out, db, broker, name)
}

// tell rolls back one transaction, commits another one, and waits for the event that arrives.
func tell(ctx context.Context, out io.Writer, db *database, broker *rabbitmq.Broker, name string) error {
	renamed := parley.NewEvent[User](name, "renamed") // a service would declare this as a package variable
	topology := parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}},
		Queues:    []parley.Queue{{Name: name}},
		Bindings:  []parley.Binding{{Queue: name, Exchange: name}},
	}
	if err := broker.Declare(ctx, topology); err != nil {
		return err
	}
	fmt.Fprintln(out, "Bob:", db.rename(ctx, renamed, User{ID: 2, Name: "Bob"}, errors.New("the name is taken")))
	if err := db.rename(ctx, renamed, User{ID: 1, Name: "Ada"}, nil); err != nil {
		return err
	}
	fmt.Fprintln(out, "Ada: committed")

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var got []User
	router := parley.NewRouter()
	parley.On(router, renamed, func(_ context.Context, e parley.Event[User]) error {
		fmt.Fprintf(out, "received through RabbitMQ: event %d, %q: %s\n", e.ID, e.Type, e.Payload.Name)
		got = append(got, e.Payload)
		stop()
		return nil
	})
	relay, err := parley.NewRelay(db.store, broker, nil)
	if err != nil {
		return err
	}
	consumer, err := parley.NewConsumer(broker, router, &parley.ConsumerConfig{
		Queue: name, Topology: topology, Concurrency: 1, Retry: parley.NoRetry,
	})
	if err != nil {
		return err
	}
	if err := parley.Run(ctx, relay, consumer); err != nil {
		return err
	}
	// Events leave in the order of their ids: Bob's would have come before Ada's.
	if len(got) != 1 || got[0].Name != "Ada" {
		return fmt.Errorf("received %v, want Ada alone", got)
	}
	fmt.Fprintln(out, "the event of the rolled-back transaction did not arrive")
	return nil
}

type database struct {
	pool   *pgxpool.Pool
	schema string
	store  *postgres.Store
	outbox *parley.Outbox[pgx.Tx]
}

// openDatabase creates a schema with a table of the service and the tables of parley.
func openDatabase(ctx context.Context, url, schema string) (*database, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	db := &database{pool: pool, schema: schema}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		pool.Close()
		return nil, err
	}
	_, err = pool.Exec(ctx, "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL)")
	if err == nil {
		db.store, err = postgres.New(pool, nil)
	}
	if err == nil {
		err = db.store.Migrate(ctx)
	}
	if err == nil {
		db.outbox, err = parley.NewOutbox(db.store, &parley.OutboxConfig{AppID: "quickstart"})
	}
	if err != nil {
		return nil, errors.Join(err, db.remove())
	}
	return db, nil
}

// rename changes a row and publishes the event in one transaction, which ends with result.
func (db *database) rename(ctx context.Context, renamed *parley.EventType[User], u User, result error) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO users VALUES ($1, $2)", u.ID, u.Name); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, db.outbox.In(tx), renamed, u)
		return errors.Join(err, result)
	})
}

func (db *database) remove() error {
	defer db.pool.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := db.pool.Exec(ctx, "DROP SCHEMA "+db.schema+" CASCADE")
	return err
}

func removeFrom(b *rabbitmq.Broker, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(
		b.DeleteQueue(ctx, name), b.DeleteQueue(ctx, parley.ParkedQueue(name)), b.DeleteExchange(ctx, name), b.Close(ctx))
}
