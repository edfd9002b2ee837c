package doccheck

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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

// The roles of docs/operations.md can do their work with the privileges that they are granted there.
func TestTheLeastPrivilegesOfTheDocumentsSuffice(t *testing.T) {
	address := testenv.Postgres(t)
	owner := connect(t, address, "")
	store, err := postgres.New(owner, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	statements := grants(t)
	roles := map[string]*pgxpool.Pool{}
	for _, name := range []string{"producer", "relay", "consumer", "operator"} {
		role := testenv.Unique(t, name)
		execute(t, owner, "CREATE ROLE "+role+" LOGIN")
		t.Cleanup(func() {
			conn := connect(t, address, "")
			execute(t, conn, "DROP OWNED BY "+role)
			execute(t, conn, "DROP ROLE "+role)
			conn.Close()
		})
		statements = strings.ReplaceAll(statements, " TO "+name+";", " TO "+role+";")
		roles[name] = connect(t, address, role)
	}
	execute(t, owner, statements)
	produce(t, roles["producer"])
	relay(t, roles["relay"])
	consume(t, roles["consumer"])
	operate(t, roles["operator"])
}

func grants(t *testing.T) string {
	t.Helper()
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if d.path == "docs/operations.md" && b.lang == "sql" && strings.Contains(b.code, "GRANT ") {
				return b.code
			}
		}
	}
	t.Fatal("docs/operations.md has no sql block with privileges")
	return ""
}

func connect(t *testing.T, address, role string) *pgxpool.Pool {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		u.User = url.User(role)
	}
	pool, err := pgxpool.New(context.Background(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := pool.Exec(ctx, sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func storeOf(t *testing.T, pool *pgxpool.Pool) *postgres.Store {
	t.Helper()
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

var renamed = parley.NewEvent[string]("user", "renamed")

func produce(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx := t.Context()
	outbox, err := parley.NewOutbox(storeOf(t, pool), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		in, tags := outbox.In(tx), parley.Tags{"id": 1}
		if _, err := parley.Publish(ctx, in, renamed, "Ada"); err != nil {
			return err
		}
		if _, err := parley.Publish(ctx, in, renamed, "Bob", parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(tags)); err != nil {
			return err
		}
		if _, err := parley.Reschedule(ctx, in, renamed, tags, time.Now().Add(2*time.Hour)); err != nil {
			return err
		}
		_, err := parley.Cancel(ctx, in, renamed, tags)
		return err
	})
	if err != nil {
		t.Errorf("producer: %v", err)
	}
}

// relay parks the record: its exchange is missing, and the broker declares none.
func relay(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	r, err := parley.NewRelay(storeOf(t, pool), memory.NewBroker(&memory.BrokerConfig{Topology: parley.TopologyNone}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Drain(t.Context()); err != nil {
		t.Errorf("relay: %v", err)
	}
}

func consume(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store := storeOf(t, pool)
	if err := store.Once(t.Context(), "mail", "id:1", func(context.Context, pgx.Tx) error { return nil }); err != nil {
		t.Errorf("consumer: %v", err)
	}
	if _, err := store.SweepInbox(t.Context(), "c", 0, 10); err != nil {
		t.Errorf("sweeper: %v", err)
	}
	if err := fail(t.Context(), store.Failures()); err != nil {
		t.Errorf("consumer with a failed delivery: %v", err)
	}
}

// fail keeps two failed deliveries, handles the first and parks the second.
func fail(ctx context.Context, f *postgres.Failures) error {
	if err := f.Check(ctx); err != nil {
		return err
	}
	o := parley.Failure{State: parley.FailureWaiting, Key: "user-1", Message: parley.Message{Exchange: "user", RoutingKey: "renamed"}}
	if _, err := f.Keep(ctx, "mail", []parley.Failure{o, o}); err != nil {
		return err
	}
	for _, action := range []parley.FailureAction{parley.FailureDone, parley.FailurePark} {
		claimed, err := f.Claim(ctx, "mail", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute})
		if err != nil || len(claimed) != 1 {
			return fmt.Errorf("claimed %d rows, want 1: %w", len(claimed), err)
		}
		c := claimed[0].FailureClaim
		_, err = f.Renew(ctx, []parley.FailureClaim{c}, time.Minute)
		if err := errors.Join(err, f.Settle(ctx, c, parley.FailureOutcome{Action: action})); err != nil {
			return err
		}
	}
	_, _, err := f.NextDue(ctx, "mail")
	_, errKeys := f.KeysWithRows(ctx, "mail", []string{"user-1"})
	_, errSweep := f.Sweep(ctx, "mail", time.Hour, 10)
	return errors.Join(err, errKeys, errSweep)
}

// operateFailures lists, edits and drops the failed delivery that the consumer parked.
func operateFailures(ctx context.Context, f *postgres.Failures) error {
	rows, err := f.List(ctx, parley.FailureQuery{States: []parley.FailureState{parley.FailureParked}}, 0, 10)
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("listed %d parked deliveries, want 1: %w", len(rows), err)
	}
	id := rows[0].ID
	_, errGet := f.Get(ctx, id)
	_, errStats := f.Stats(ctx, "")
	_, errReplay := f.Replay(ctx, parley.FailureQuery{IDs: []int64{id}}, 0)
	errEdit := f.Edit(ctx, id, []byte("{}"))
	_, errMove := f.Move(ctx, "mail", "post")
	_, _, errDrop := f.Drop(ctx, parley.FailureQuery{Consumer: "post"})
	return errors.Join(errGet, errStats, errReplay, errEdit, errMove, errDrop)
}

// operate lists, edits and replays the record that the relay parked.
func operate(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store, ctx := storeOf(t, pool), t.Context()
	st, err := store.Stats(ctx)
	if err != nil || st.Parked != 1 {
		t.Fatalf("operator: %d records are parked, want 1 (%v)", st.Parked, err)
	}
	parked, err := store.ListParked(ctx, 0, 10)
	if err != nil || len(parked) != 1 {
		t.Fatalf("operator: listed %d parked records, want 1 (%v)", len(parked), err)
	}
	if err := store.EditParked(ctx, parked[0].ID, parked[0].Body); err != nil {
		t.Errorf("operator: %v", err)
	}
	if n, err := store.ReplayParked(ctx, []int64{parked[0].ID}); err != nil || n != 1 {
		t.Errorf("operator: replayed %d records, want 1 (%v)", n, err)
	}
	if err := operateFailures(ctx, store.Failures()); err != nil {
		t.Errorf("operator of failed deliveries: %v", err)
	}
}
