package postgres_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
)

// The test passes no hints to the planner: with this many rows it must choose the indexes itself.
func TestPollAndCancelUseIndexes(t *testing.T) {
	ctx := t.Context()
	db, s := openSQL(t)
	_, err := db.ExecContext(ctx, `INSERT INTO parley_outbox (exchange, routing_key, kind, body, due_at, tags, properties)
		SELECT 'mail', 'remind', 'event', '{"payload": {}}', now() + interval '1 hour', jsonb_build_object('n', i::text, 'kind', 'photo'), '{}'
		FROM generate_series(1, 50000) i`)
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM ANALYZE parley_outbox")
	}
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // the changes are not kept
	rec := &sqlstoretest.Recorder{Tx: tx}
	sel := parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"n": "77", "kind": "photo"}}
	if n, err := s.Reschedule(ctx, rec, sel, time.Now().Add(2*time.Hour)); err != nil || n != 1 {
		t.Errorf("moved %d (%v), want 1", n, err)
	}
	if n, err := s.Cancel(ctx, rec, sel); err != nil || n != 1 {
		t.Errorf("cancelled %d (%v), want 1", n, err)
	}
	if _, err := s.Scheduled(ctx, rec, parley.Selection{}, 10); err != nil {
		t.Error(err)
	}
	rec.Statements = append(rec.Statements, relayStatements(t, db)...)
	for _, st := range rec.Statements {
		if p := plan(t, tx, st); strings.Contains(p, "Seq Scan") || strings.Contains(p, "->  Sort") {
			t.Errorf("%.300s\nreads the whole table or sorts it:\n%s", st.Query, p)
		}
	}
}

func plan(t *testing.T, tx *sql.Tx, st sqlstoretest.Statement) string {
	t.Helper()
	rows, err := tx.QueryContext(t.Context(), "EXPLAIN "+st.Query, st.Args...)
	if err != nil {
		t.Fatalf("%s: %v", st.Query, err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var step string
		if err := rows.Scan(&step); err != nil {
			t.Fatal(err)
		}
		b.WriteString(step + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A tracer records the statements of a pool.
type tracer struct{ statements []sqlstoretest.Statement }

func (tr *tracer) note(query string, args []any) {
	if strings.Contains(query, "FROM parley_outbox WHERE") {
		tr.statements = append(tr.statements, sqlstoretest.Statement{Query: query, Args: args})
	}
}

func (tr *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	tr.note(d.SQL, d.Args)
	return ctx
}

func (*tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (*tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (tr *tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	tr.note(d.SQL, d.Args)
}

func (*tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// relayStatements returns the statements of a relay that looks for due records.
func relayStatements(t *testing.T, db *sql.DB) []sqlstoretest.Statement {
	t.Helper()
	var name string
	if err := db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(testenv.Postgres(t)) // for the address
	if err != nil {
		t.Fatal(err)
	}
	tr := &tracer{}
	cfg.ConnConfig.Database, cfg.ConnConfig.Tracer = name, tr
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 100, Except: []string{"full"}})
	if err == nil {
		err = b.Release(t.Context())
	}
	if err == nil {
		_, _, err = s.NextDue(t.Context())
	}
	if err != nil || len(tr.statements) < 3 {
		t.Fatalf("a relay has run %d statements (%v): %v", len(tr.statements), err, tr.statements)
	}
	return tr.statements
}
