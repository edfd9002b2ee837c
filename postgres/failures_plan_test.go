package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// fillFailures creates a large table: parked rows; waiting rows, a tenth of them due; suspects that are due before all others;
// rows behind a parked one that holds their key.
func fillFailures(t *testing.T, pool *pgxpool.Pool, parked, others int) {
	t.Helper()
	const columns = `INSERT INTO parley_failed (consumer, repeat_of, ordering_key, state, holds, due_at, parked_at, begun, fingerprint,
 exchange, routing_key, message_id, identity, size, envelope, body) `
	const rest = ", 'user', 'renamed', 'm' || i, 'id:' || $2::text || i, 2, '\\x01', '{}' FROM generate_series(1, $1::int) i"
	for _, part := range []struct {
		name, query string
		rows        int
	}{
		{"parked", "SELECT 'mail', sha256(($2::text || i)::bytea), '', 'parked', false, NULL, now() - i * interval '1 ms', 0, md5((i % 50)::text)", parked},
		{"waiting", "SELECT 'mail', sha256(($2::text || i)::bytea), CASE WHEN i % 2 = 0 THEN 'w' || i ELSE '' END, 'waiting', false, now() + (i - $1::int / 10) * interval '1 s', NULL, 0, ''", others},
		{"suspect", "SELECT 'mail', NULL, '', 'waiting', false, now() - interval '1 day' - i * interval '1 s', NULL, 2, CASE WHEN $2::text = '' THEN '' ELSE '' END", others},
		{"hold", "SELECT 'mail', NULL, 'held', 'parked', true, NULL, now(), 0, md5($2::text)", 1},
		{"behind", "SELECT 'mail', NULL, 'held', 'behind', false, NULL, NULL, 0, CASE WHEN $2::text = '' THEN '' ELSE '' END", others},
	} {
		if _, err := pool.Exec(t.Context(), columns+part.query+rest, part.rows, part.name); err != nil {
			t.Fatalf("%s: %v", part.name, err)
		}
	}
}

// A planLog collects the plans of the executed statements on the table of failed deliveries.
type planLog struct {
	tables     []string // statements on others are not looked at; nil means parley_failed
	pages      int      // the most pages of a statement; 0 means pageLimits
	statements int
	problems   []string
	report     []string
}

// limits are how many pages of tables and indexes a statement may read, by a part of its text. Counting may read up to the cap.
var pageLimits = []struct {
	part  string
	pages int
}{{"WITH RECURSIVE g", 100 * parley.FailureStatsCap}, {"SELECT count(*)", 8 * parley.FailureStatsCap}, {"", 1000}}

// notice parses the notices of auto_explain.
func (l *planLog) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	_, text, ok := strings.Cut(n.Message, "plan:\n")
	if tables := slices.Concat(l.tables, []string{"parley_failed"}); !ok || !slices.ContainsFunc(tables, func(table string) bool { return strings.Contains(text, table) }) {
		return
	}
	var plan struct {
		Query string `json:"Query Text"`
		Plan  struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		l.problems = append(l.problems, err.Error())
		return
	}
	l.statements++
	pages := plan.Plan.Hit + plan.Plan.Read
	l.report = append(l.report, fmt.Sprintf("%6d pages: %.120s", pages, strings.Join(strings.Fields(plan.Query), " ")))
	if strings.Contains(text, `"Seq Scan"`) {
		l.problems = append(l.problems, "reads the whole table:\n"+text)
	}
	limits := pageLimits
	if l.pages > 0 {
		limits = limits[len(limits)-1:]
		limits = append(limits[:0:0], limits...)
		limits[0].pages = l.pages
	}
	for _, limit := range limits {
		if strings.Contains(plan.Query, limit.part) {
			if pages > limit.pages {
				l.problems = append(l.problems, fmt.Sprintf("touches %d pages, want at most %d:\n%s", pages, limit.pages, text))
			}
			return
		}
	}
}

// explaining returns a pool of one session that sends the plan of each of its statements.
func explaining(t *testing.T, pool *pgxpool.Pool) (*pgxpool.Pool, *planLog) {
	t.Helper()
	cfg, log := pool.Config(), &planLog{}
	cfg.MaxConns = 1
	cfg.ConnConfig.OnNotice = log.notice
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;
 SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off; SET auto_explain.log_format = json; SET auto_explain.log_level = notice`)
		return err
	}
	explained, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(explained.Close)
	return explained, log
}

// In this session the planner has seen an empty table first, and then a large one without statistics: autovacuum may be late.
func TestALargeTableOfFailuresIsNeverReadAsAWhole(t *testing.T) {
	parked, others := 20_000, 5_000
	if os.Getenv("PARLEY_FAULTS") == "all" {
		parked, others = 1_000_000, 100_000
	}
	pool, _ := openPgx(t)
	if _, err := pool.Exec(t.Context(), "ALTER TABLE parley_failed SET (autovacuum_enabled = off)"); err != nil {
		t.Fatal(err)
	}
	explained, log := explaining(t, pool)
	store, err := postgres.New(explained, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := store.Failures()
	for range 6 { // from the sixth execution on a session reuses plans
		useFailures(t, f)
	}
	fillFailures(t, pool, parked, others)
	for _, name := range []string{"never analyzed", "analyzed"} {
		t.Run(name, func(t *testing.T) {
			*log = planLog{}
			start := time.Now()
			useFailures(t, f)
			t.Logf("%d statements took %v:\n%s", log.statements, time.Since(start).Round(time.Millisecond), strings.Join(log.report, "\n"))
			for _, problem := range log.problems {
				t.Error(problem)
			}
			if log.statements < 40 {
				t.Errorf("the plans of only %d statements were sent", log.statements)
			}
		})
		if _, err := pool.Exec(t.Context(), "VACUUM ANALYZE parley_failed"); err != nil {
			t.Fatal(err)
		}
	}
}

// useFailures calls all operations that must read few rows, however many there are.
func useFailures(t *testing.T, f *postgres.Failures) {
	t.Helper()
	ctx := t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	o := keyed("new", "x")
	o.RepeatOf = []byte(time.Now().String())
	_, err := f.Keep(ctx, "mail", []parley.Failure{o, keyed("held", "y"), o})
	must("keep", err)
	parked := keyed("parked", "z")
	parked.State = parley.FailureParked
	kept, err := f.Keep(ctx, "mail", []parley.Failure{parked, parked})
	must("keep parked", err)
	claims := map[bool][]parley.FailureClaim{}
	for _, alone := range []bool{false, true} {
		claimed, err := f.Claim(ctx, "mail", parley.FailureClaimOptions{Limit: 16, KeyRun: 100, Owner: "w", Lease: time.Minute, Alone: alone})
		must("claim", err)
		for _, c := range claimed {
			claims[alone] = append(claims[alone], c.FailureClaim)
		}
	}
	_, err = f.Renew(ctx, claims[false], time.Minute)
	must("renew", err)
	for i, c := range claims[false] {
		must("settle", f.Settle(ctx, c, parley.FailureOutcome{Action: parley.FailureAction(i % 4), After: time.Hour}))
	}
	_, err = f.KeysWithRows(ctx, "mail", []string{"held", "new", "none"})
	must("keys", err)
	_, _, err = f.NextDue(ctx, "mail")
	must("next due", err)
	must("promote", f.Promote(ctx, "mail", "held"))
	_, err = f.Sweep(ctx, "mail", 24*time.Hour, 100)
	must("sweep", err)
	for _, consumer := range []string{"", "mail"} {
		_, err = f.Stats(ctx, consumer)
		must("stats", err)
		for _, states := range [][]parley.FailureState{nil, {parley.FailureWaiting}, {parley.FailureParked, parley.FailureRunning}} {
			_, err = f.List(ctx, parley.FailureQuery{Consumer: consumer, States: states}, kept[0].ID/2, 50)
			must("list", err)
		}
	}
	_, err = f.List(ctx, parley.FailureQuery{Consumer: "mail", States: []parley.FailureState{parley.FailureParked}, Fingerprint: strings.Repeat("0", 32)}, 0, 50)
	must("list a fingerprint", err)
	for _, consumer := range []string{"", "mail"} {
		_, err = f.FailureGroups(ctx, consumer, 100)
		must("groups", err)
	}
	_, err = f.Consumers(ctx)
	must("consumers", err)
	must("edit", f.Edit(ctx, kept[0].ID, []byte("z")))
	_, err = f.Replay(ctx, parley.FailureQuery{IDs: []int64{kept[0].ID, kept[1].ID}}, time.Second)
	must("replay", err)
	_, _, err = f.Drop(ctx, parley.FailureQuery{IDs: []int64{kept[0].ID, kept[1].ID}})
	must("drop", err)
}
