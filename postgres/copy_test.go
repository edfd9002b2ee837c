package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// A queryLog records the statements of a pool.
type queryLog struct {
	mu      sync.Mutex // guards the field below
	queries []string
}

func (l *queryLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries = append(l.queries, d.SQL)
	return ctx
}

func (*queryLog) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// COPY itself is not traced as a query, so the test checks that the statement it replaces is not traced.
func TestManyRecordsAreWrittenByCopyAndFewByInsert(t *testing.T) {
	owner, _ := openPgx(t)
	log := &queryLog{}
	cfg := owner.Config()
	cfg.ConnConfig.Tracer = log
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n, byCopy := range map[int]bool{many: true, 3: false} {
		log.queries = nil
		if err := produceMany(t.Context(), pool, store, n); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(log.queries, "\n")
		if strings.Contains(all, "nextval") != byCopy || strings.Contains(all, "INSERT INTO parley_outbox") == byCopy {
			t.Errorf("%d records (by COPY: %v) were written by\n%s", n, byCopy, all)
		}
	}
	drained(t, store, many+3)
}

func manyRecords() []parley.Record {
	records := make([]parley.Record, many)
	for i := range records {
		records[i].Message = parley.Message{Exchange: "mail", Kind: parley.KindCommand, Body: []byte("{}")}
	}
	return records
}

func TestACopyIntoAnEndedTransactionIsRefused(t *testing.T) {
	pool, store := openPgx(t)
	tx, err := pool.Begin(t.Context())
	if err == nil {
		err = tx.Rollback(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Insert(t.Context(), tx, manyRecords()); err == nil {
		t.Error("records were written after the end of their transaction")
	}
	drained(t, store, 0)
}
