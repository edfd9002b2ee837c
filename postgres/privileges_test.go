package postgres_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

// as returns a pool on the owner's database whose sessions use a new role with exactly these
// privileges.
func as(t *testing.T, owner *pgxpool.Pool, grants ...string) *pgxpool.Pool {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	role := strings.ReplaceAll(testenv.Unique(t, "parley_role"), "-", "_")
	statements := []string{"CREATE ROLE " + role, "GRANT USAGE ON SCHEMA public TO " + role}
	for _, g := range grants {
		statements = append(statements, "GRANT "+g+" TO "+role)
	}
	for _, q := range statements {
		if _, err := owner.Exec(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	cfg := owner.Config()
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET ROLE "+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		if _, err := owner.Exec(ctx, "DROP OWNED BY "+role); err != nil {
			t.Error(err)
		}
		if _, err := owner.Exec(ctx, "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	return pool
}

var photo = parley.NewEvent[map[string]int]("mail", "remind")

// produce publishes one event and, with tags, schedules and cancels another one.
func produce(ctx context.Context, pool *pgxpool.Pool, store parley.OutboxStore[pgx.Tx], tags parley.Tags) error {
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := parley.Publish(ctx, outbox.In(tx), photo, map[string]int{}); err != nil || tags == nil {
			return err
		}
		_, err := parley.Publish(ctx, outbox.In(tx), photo, map[string]int{}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(tags))
		if err == nil {
			_, err = parley.Cancel(ctx, outbox.In(tx), photo, tags)
		}
		return err
	})
}

// many is more than the number of records that are written by single statements.
const many = 100

// produceMany publishes n events in one transaction.
func produceMany(ctx context.Context, pool *pgxpool.Pool, store parley.OutboxStore[pgx.Tx], n int) error {
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := parley.PublishAll(ctx, outbox.In(tx), photo, make([]map[string]int, n))
		return err
	})
}

func drained(t *testing.T, source parley.RelaySource, want int) {
	t.Helper()
	broker := memory.NewBroker(nil)
	relay, err := parley.NewRelay(source, broker, nil)
	if err == nil {
		_, err = relay.Drain(t.Context())
	}
	if n := len(broker.Published()); err != nil || n != want {
		t.Errorf("published %d (%v), want %d", n, err, want)
	}
}

func TestLeastPrivilegesAreEnough(t *testing.T) {
	ctx := t.Context()
	owner, _ := openPgx(t)
	producer := as(t, owner, "INSERT, SELECT (id) ON parley_outbox")
	bulk := as(t, owner, "INSERT, SELECT (id) ON parley_outbox", "USAGE ON SEQUENCE parley_outbox_id_seq")
	canceller := as(t, owner, "INSERT, SELECT, DELETE ON parley_outbox")
	relay := as(t, owner, "SELECT, DELETE, UPDATE (due_at) ON parley_outbox", "INSERT, SELECT ON parley_parked")
	for _, c := range []struct {
		pool *pgxpool.Pool
		tags parley.Tags
	}{{producer, nil}, {bulk, nil}, {canceller, parley.Tags{"n": 1}}} {
		store, err := postgres.New(c.pool, nil)
		if err == nil {
			err = produce(ctx, c.pool, store, c.tags)
		}
		if err == nil {
			err = produceMany(ctx, c.pool, store, many)
		}
		if err != nil {
			t.Errorf("produce, tags %v: %v", c.tags, err)
		}
	}
	store, err := postgres.New(relay, nil)
	if err != nil {
		t.Fatal(err)
	}
	drained(t, store, 3*(1+many))
}

// A relay would publish records that it cannot delete again after each restart, in every mode and on either table.
func TestARelayThatMayNotDeletePublishesNothingAndReportsIt(t *testing.T) {
	owner, ownersStore := openPgx(t)
	djangoOwner, ownersDjango := openDjango(t, "2.6")
	if err := errors.Join(produce(t.Context(), owner, ownersStore, nil), produce(t.Context(), djangoOwner, ownersDjango, nil)); err != nil {
		t.Fatal(err)
	}
	own := as(t, owner, "SELECT, UPDATE (due_at) ON parley_outbox", "INSERT, SELECT ON parley_parked")
	store, err := postgres.New(own, nil)
	if err != nil {
		t.Fatal(err)
	}
	limited := as(t, djangoOwner, "SELECT, UPDATE (create_time) ON "+postgres.DjangoTable)
	django, err := postgres.NewDjango(limited, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]parley.RelaySource{"own table": store, "Django's table": django} {
		for _, mode := range []parley.RelayMode{parley.RelayModeOrdered, parley.RelayModeParallel} {
			if err := drainsNothing(t, source, mode); err == nil || !strings.Contains(err.Error(), "GRANT DELETE") {
				t.Errorf("%s, mode %d: the relay returns %v, want a hint to the missing privilege", name, mode, err)
			}
		}
	}
}

// drainsNothing returns the error of a relay that must not publish.
func drainsNothing(t *testing.T, source parley.RelaySource, mode parley.RelayMode) error {
	t.Helper()
	broker := memory.NewBroker(nil)
	relay, err := parley.NewRelay(source, broker, &parley.RelayConfig{Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	_, err = relay.Drain(t.Context())
	if n := len(broker.Published()); n != 0 {
		t.Errorf("published %d messages that cannot be deleted", n)
	}
	return err
}

// Row security forbids COPY, and allows INSERT through its policies.
func TestManyRecordsPassRowSecurity(t *testing.T) {
	ctx := t.Context()
	owner, store := openPgx(t)
	producer := as(t, owner, "INSERT, SELECT (id) ON parley_outbox", "USAGE ON SEQUENCE parley_outbox_id_seq")
	_, err := owner.Exec(ctx, "ALTER TABLE parley_outbox ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON parley_outbox USING (true)")
	if err != nil {
		t.Fatal(err)
	}
	limited, err := postgres.New(producer, nil)
	if err == nil {
		err = produceMany(ctx, producer, limited, many)
	}
	if err != nil {
		t.Errorf("produce under row security: %v", err)
	}
	drained(t, store, many)
}

// Guarantee: the Django mode works with SELECT, DELETE and UPDATE of any one column.
func TestLeastPrivilegesAreEnoughForTheDjangoTable(t *testing.T) {
	owner, store := openDjango(t, "2.6")
	if err := produce(t.Context(), owner, store, nil); err != nil {
		t.Fatal(err)
	}
	relay := as(t, owner, "SELECT, DELETE, UPDATE (create_time) ON "+postgres.DjangoTable)
	limited, err := postgres.NewDjango(relay, nil)
	if err != nil {
		t.Fatal(err)
	}
	drained(t, limited, 1)
}

// openSchema creates Django's table in a schema and returns a pool with that search path.
func openSchema(t *testing.T, schema, path string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	quoted := pgx.Identifier{schema}.Sanitize()
	ddl, err := os.ReadFile("testdata/django-2.6.sql")
	if err != nil {
		t.Fatal(err)
	}
	first, err := pgx.ConnectConfig(t.Context(), cfg.ConnConfig.Copy())
	if err == nil {
		_, err = first.Exec(t.Context(), "CREATE SCHEMA IF NOT EXISTS "+quoted+"; SET search_path = "+quoted+"; "+string(ddl))
	}
	if err == nil {
		err = first.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if path != "" {
		cfg.ConnConfig.RuntimeParams["search_path"] = path
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestDjangoTableIsFoundInAnySchemaAndSearchPath(t *testing.T) {
	for _, c := range []struct{ name, schema, path, config string }{
		{"DefaultPath", "public", "", ""},
		{"UserAndPublic", "public", `"$user", public`, ""},
		{"UpperCaseInThePath", "My Shop", `"My Shop", public`, ""},
		{"UpperCaseByConfig", "MyShop", "public", "MyShop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := openSchema(t, c.schema, c.path)
			store, err := postgres.NewDjango(pool, &postgres.DjangoConfig{Schema: c.config})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			sent := make(chan parley.BatchReport, 10)
			relay, err := parley.NewRelay(store, memory.NewBroker(nil), &parley.RelayConfig{
				PollInterval: time.Hour, Hooks: parley.RelayHooks{Batch: func(b parley.BatchReport) { sent <- b }},
			})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- relay.Run(ctx) }()
			for range 2 { // the second one is found by a notification only
				if err := produce(ctx, pool, store, parley.Tags{"n": 1}); err != nil {
					t.Error(err)
					break
				}
				select {
				case <-sent:
				case <-time.After(20 * time.Second):
					t.Error("the relay has not published: its poll interval is an hour")
				}
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
