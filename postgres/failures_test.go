package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// A failureStore is the common interface of both drivers' stores.
type failureStore interface {
	parley.FailureStore
	parley.FailureOperator
}

// A failureCase is a table of failed deliveries accessed with one of the drivers.
type failureCase struct {
	failureStore
	// exec runs a statement outside the store.
	exec func(t testing.TB, query string, args ...any)
	// doneIn runs fn in a handler's transaction that also calls DoneIn.
	doneIn func(ctx context.Context, c parley.FailureClaim, fn func() error) error
	// text returns one value as text.
	text func(t testing.TB, query string) string
}

func eachDriver(t *testing.T, cfg *postgres.Config, test func(t *testing.T, f failureCase)) {
	t.Run("pgx", func(t *testing.T) { test(t, openFailures(t, cfg)) })
	t.Run("database/sql", func(t *testing.T) { test(t, openSQLFailures(t)) })
}

func openFailures(t testing.TB, cfg *postgres.Config) failureCase {
	t.Helper()
	pool, _ := openPgx(t)
	store, err := postgres.New(pool, cfg)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	f := store.Failures()
	return failureCase{
		failureStore: f,
		exec: func(t testing.TB, query string, args ...any) {
			t.Helper()
			if _, err := pool.Exec(context.Background(), query, args...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		},
		text: func(t testing.TB, query string) (out string) {
			t.Helper()
			if err := pool.QueryRow(t.Context(), query).Scan(&out); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return out
		},
		doneIn: func(ctx context.Context, c parley.FailureClaim, fn func() error) error {
			return store.InTx(ctx, func(tx pgx.Tx) error {
				if err := f.DoneIn(ctx, tx, c); err != nil {
					return err
				}
				return fn()
			})
		},
	}
}

func openSQLFailures(t testing.TB) failureCase {
	t.Helper()
	db, store := openSQL(t)
	f := store.Failures()
	return failureCase{
		failureStore: f,
		exec: func(t testing.TB, query string, args ...any) {
			t.Helper()
			if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		},
		text: func(t testing.TB, query string) (out string) {
			t.Helper()
			if err := db.QueryRowContext(t.Context(), query).Scan(&out); err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Fatalf("%s: %v", query, err)
			}
			return out
		},
		doneIn: func(ctx context.Context, c parley.FailureClaim, fn func() error) error {
			return store.InTx(ctx, func(tx postgres.Tx) error {
				if err := f.DoneIn(ctx, tx, c); err != nil {
					return err
				}
				return fn()
			})
		},
	}
}

// failed returns a failed delivery that is due at once.
func failed(body string) parley.Failure {
	return parley.Failure{
		State: parley.FailureWaiting,
		Message: parley.Message{
			Exchange: "user", RoutingKey: "renamed", ID: body, Kind: parley.KindEvent, Body: []byte(body),
			Headers: map[string]any{"n": int64(1), "binary": []byte{0, 255}},
		},
	}
}

func keyed(key, body string) parley.Failure {
	f := failed(body)
	f.Key = key
	return f
}

func (f failureCase) keep(t testing.TB, list ...parley.Failure) []parley.KeptFailure {
	t.Helper()
	kept, err := f.Keep(t.Context(), "mail", list)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func (f failureCase) claim(t testing.TB, o parley.FailureClaimOptions) []parley.ClaimedFailure {
	t.Helper()
	o.Limit, o.KeyRun, o.Owner = max(o.Limit, 1), max(o.KeyRun, 1), "here"
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	rows, err := f.Claim(t.Context(), "mail", o)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (f failureCase) settle(t testing.TB, c parley.FailureClaim, o parley.FailureOutcome) {
	t.Helper()
	if err := f.Settle(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
}

// bodies returns the bodies of claimed rows.
func bodies(rows []parley.ClaimedFailure) string {
	var out []string
	for _, r := range rows {
		out = append(out, string(r.Message.Body))
	}
	return strings.Join(out, " ")
}

// states returns the number of rows by state: "1 waiting, 2 behind".
func (f failureCase) states(t testing.TB) string {
	t.Helper()
	rows, err := f.List(t.Context(), parley.FailureQuery{}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprint(r.ID, " ", r.State))
	}
	return strings.Join(out, ", ")
}

func TestOfAKeyOnlyTheFirstRowIsDueAndARunKeepsItsOrder(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		f.keep(t, keyed("k", "a"), keyed("k", "b"), failed("x"), keyed("k", "c"))
		f.keep(t, keyed("k", "d"))
		if got, want := f.states(t), "1 waiting, 2 behind, 3 waiting, 4 behind, 5 behind"; got != want {
			t.Fatalf("kept as %s, want %s", got, want)
		}
		if got := bodies(f.claim(t, parley.FailureClaimOptions{Limit: 1, KeyRun: 3})); got != "a b c" {
			t.Errorf("claimed %q, want a run of three", got)
		}
		if got := bodies(f.claim(t, parley.FailureClaimOptions{Limit: 9, KeyRun: 9})); got != "x" {
			t.Errorf("claimed %q during a run, want only the row without a key", got)
		}
	})
}
