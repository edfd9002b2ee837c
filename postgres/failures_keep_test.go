package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
)

// withSession returns a store whose sessions start with a given statement.
func withSession(t *testing.T, owner *pgxpool.Pool, statement string) (*pgxpool.Pool, *postgres.Failures) {
	t.Helper()
	cfg := owner.Config()
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, statement)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pool, store.Failures()
}

// An ack follows: a row that is not on the disk would be lost with the server.
func TestAKeptDeliveryIsAsDurableAsItsAck(t *testing.T) {
	owner, _ := openPgx(t)
	_, err := owner.Exec(t.Context(), `CREATE TABLE seen (level text, isolation text);
 CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
 INSERT INTO seen VALUES (current_setting('synchronous_commit'), current_setting('transaction_isolation')); RETURN NULL; END $$;
 CREATE TRIGGER see AFTER INSERT ON parley_failed FOR EACH STATEMENT EXECUTE FUNCTION see()`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ session, want string }{
		{"off", "on"}, {"local", "on"}, {"remote_write", "remote_write"}, {"on", "on"}, {"remote_apply", "remote_apply"},
	} {
		pool, f := withSession(t, owner, "SET synchronous_commit = "+c.session+"; SET default_transaction_isolation = serializable")
		if _, err := f.Keep(t.Context(), "mail", []parley.Failure{failed("x")}); err != nil {
			t.Fatal(err)
		}
		var level, isolation, after string
		err := owner.QueryRow(t.Context(), "DELETE FROM seen RETURNING level, isolation").Scan(&level, &isolation)
		if err == nil {
			err = pool.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&after)
		}
		if err != nil || level != c.want || isolation != "read committed" || after != c.session {
			t.Errorf("in a session with %s a failure was kept with %s at %s, and left %s behind (%v); want %s at read committed, and %s",
				c.session, level, isolation, after, err, c.want, c.session)
		}
	}
}

// A store over database/sql sets its isolation level in another way.
func TestFailuresOverDatabaseSQLAreKeptAtReadCommitted(t *testing.T) {
	db, err := sql.Open("pgx", testenv.Postgres(t)+"&default_transaction_isolation=serializable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := postgres.NewSQL(db, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	for _, q := range []string{
		"CREATE TABLE seen (isolation text)",
		"CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (current_setting('transaction_isolation')); RETURN NULL; END $$",
		"CREATE TRIGGER see AFTER INSERT ON parley_failed FOR EACH STATEMENT EXECUTE FUNCTION see()",
	} {
		if err == nil {
			_, err = db.ExecContext(t.Context(), q)
		}
	}
	if err == nil {
		_, err = store.Failures().Keep(t.Context(), "mail", []parley.Failure{failed("x")})
	}
	var isolation string
	if err == nil {
		err = db.QueryRowContext(t.Context(), "SELECT isolation FROM seen").Scan(&isolation)
	}
	if err != nil || isolation != "read committed" {
		t.Errorf("a failure was kept at %s (%v), want read committed", isolation, err)
	}
}

// A failure that the database can never store has another error than an outage, and leaves no row behind.
func TestDataThatTheDatabaseCannotStoreIsRefused(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		noText := keyed("a\x00b", "x")
		tooDeep := failed("x")
		tooDeep.Message.Headers = map[string]any{"f": func() {}}
		for name, list := range map[string][]parley.Failure{"no text": {failed("good"), noText}, "no header": {tooDeep}} {
			if _, err := f.Keep(t.Context(), "mail", list); !errors.Is(err, parley.ErrRefused) {
				t.Errorf("%s: %v, want an error that wraps ErrRefused", name, err)
			}
		}
		f.exec(t, "ALTER TABLE parley_failed ADD CONSTRAINT small CHECK (size < 100)")
		large := failed(strings.Repeat("x", 200))
		if _, err := f.Keep(t.Context(), "mail", []parley.Failure{failed("good"), large}); !errors.Is(err, parley.ErrRefused) {
			t.Errorf("a constraint: %v, want an error that wraps ErrRefused", err)
		}
		f.exec(t, "ALTER TABLE parley_failed RENAME TO elsewhere")
		if _, err := f.Keep(t.Context(), "mail", []parley.Failure{failed("good")}); err == nil || errors.Is(err, parley.ErrRefused) {
			t.Errorf("a missing table: %v, want an error that does not wrap ErrRefused", err)
		}
		f.exec(t, "ALTER TABLE elsewhere RENAME TO parley_failed")
		if got := f.states(t); got != "" {
			t.Errorf("refused failures have left %s", got)
		}
	})
}

// A statement timeout says nothing about the data, and leaves neither a row nor a session in a transaction.
func TestATimeoutOfTheServerKeepsNothingAndRefusesNothing(t *testing.T) {
	owner, _ := openPgx(t)
	pool, f := withSession(t, owner, "SET statement_timeout = 1000")
	_, err := owner.Exec(t.Context(), `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
 CREATE TRIGGER slow BEFORE INSERT ON parley_failed FOR EACH ROW WHEN (NEW.message_id = 'slow') EXECUTE FUNCTION slow()`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Keep(t.Context(), "mail", []parley.Failure{failed("first"), failed("slow")}); err == nil || errors.Is(err, parley.ErrRefused) {
		t.Errorf("a statement timeout: %v, want an error that does not wrap ErrRefused", err)
	}
	if _, err := f.Keep(t.Context(), "mail", []parley.Failure{failed("next")}); err != nil {
		t.Errorf("after a statement timeout: %v", err)
	}
	if st, err := f.Stats(t.Context(), "mail"); err != nil || st.Waiting != 1 {
		t.Errorf("%d rows were kept, want 1 (%v)", st.Waiting, err)
	}
	if n := pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d sessions were not returned to the pool", n)
	}
}

func TestOneMessageKeptByManyAtOnceIsOneRow(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		a, b := keyed("k", "a"), keyed("k", "b")
		a.RepeatOf, b.RepeatOf = []byte("a"), []byte("b")
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				list := []parley.Failure{a, b}
				if n%2 == 0 {
					list = []parley.Failure{b, a} // the other order of locks
				}
				for range 10 {
					if _, err := f.Keep(context.WithoutCancel(t.Context()), "mail", list); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := f.text(t, "SELECT count(*) || ' rows, ' || sum(repeats) || ' repeats, ' || count(due_at) || ' due' FROM parley_failed"); got != "2 rows, 158 repeats, 1 due" {
			t.Errorf("got %s, want 2 rows, 158 repeats, 1 due", got)
		}
	})
}

func TestARepeatWaitsOnlyASecondForAHandlersTransaction(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		o := failed("x")
		o.RepeatOf = []byte("x")
		f.keep(t, o)
		c := f.claim(t, parley.FailureClaimOptions{})[0]
		err := f.doneIn(t.Context(), c.FailureClaim, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := f.Keep(ctx, "mail", []parley.Failure{o}); err == nil || ctx.Err() != nil || errors.Is(err, parley.ErrRefused) {
				t.Errorf("a repeat of a row that a handler has deleted: %v, want an error of the lock timeout", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if kept := f.keep(t, o); kept[0].Repeat {
			t.Errorf("after the handler's commit the message was kept as %+v, want a new row", kept[0])
		}
	})
}
