package sqlstoretest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// ConsoleRows is how many parked deliveries, parked records and scheduled records the large tables of a console's tests have, each.
// The full run has a million.
func ConsoleRows() int {
	if os.Getenv("PARLEY_FAULTS") == "all" {
		return 1_000_000
	}
	return 20_000
}

// ConsoleGroups is how many groups the parked deliveries have; row i has the identity id:m-(i-1) and the fingerprint ConsoleGroup(i).
const ConsoleGroups = 40

// ConsoleGroup returns the fingerprint of a group, from 1 on.
func ConsoleGroup(i int) string { return fmt.Sprintf("%032x", i) }

// A Filler fills tables with many rows: copies of a few that were written by the usual operations.
type Filler[Tx any] struct {
	DB       *sql.DB // for statements that no operation has
	Kind     string  // postgres, mysql or sqlite
	Outbox   parley.OutboxStore[Tx]
	Relay    parley.RelaySource
	Failures parley.FailureStore
	Log      parley.ActionLog
	InTx     InTx[Tx]
}

// fillSQL are the expressions that differ between the databases.
type fillSQL struct {
	soon    string // a random time, for due_at
	text    string // a random text
	bodies  bool   // bodies of failed deliveries and tags are in tables of their own
	analyze string
}

var fillDialects = map[string]fillSQL{
	"postgres": {"due_at + random() * interval '1 day'", "md5(random()::text)", false, "VACUUM ANALYZE"},
	"mysql":    {"due_at + INTERVAL FLOOR(RAND() * 86400000000) MICROSECOND", "LEFT(SHA2(RAND(), 256), 32)", true, "ANALYZE TABLE parley_failed, parley_failed_body, parley_parked, parley_outbox, parley_outbox_tags, parley_log"},
	"sqlite":   {"due_at + abs(random()) % 86400000000", "lower(hex(randomblob(16)))", true, "ANALYZE"},
}

// Fill writes rows of each kind.
func (f *Filler[Tx]) Fill(t *testing.T, rows int) {
	t.Helper()
	f.seed(t)
	d := fillDialects[f.Kind]
	failed := "consumer, state, holds, parked_at, created_at, fingerprint, exchange, routing_key, first_error, last_error, reason, size, attempts, ordering_key"
	if !d.bodies {
		failed += ", envelope, body"
	}
	f.multiply(t, "parley_failed", failed, map[string]string{"message_id": d.text, "identity": d.text}, rows)
	f.multiply(t, "parley_parked", "record_id, parked_at, reason, exchange, routing_key, kind, body, properties", nil, rows)
	f.multiply(t, "parley_outbox", "created_at, exchange, routing_key, kind, body, tags, properties", map[string]string{"due_at": d.soon}, rows)
	f.multiply(t, "parley_log", "at, actor, host, reason, action, filter, changed, state, detail", nil, min(rows, 20_000))
	if d.bodies {
		f.exec(t, "INSERT INTO parley_failed_body SELECT f.id, b.envelope, b.body FROM parley_failed f, parley_failed_body b WHERE b.id = 1 AND f.id > (SELECT max(id) FROM (SELECT id FROM parley_failed_body) AS x)")
		f.exec(t, "INSERT INTO parley_outbox_tags SELECT t.digest, o.id FROM parley_outbox o, parley_outbox_tags t WHERE t.record_id = 1 AND o.id > (SELECT max(record_id) FROM (SELECT record_id FROM parley_outbox_tags) AS x)")
	}
	f.exec(t, d.analyze)
	if f.Kind == "sqlite" {
		f.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)") // otherwise the last connection does it when it closes
	}
}

func (f *Filler[Tx]) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := f.DB.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// multiply copies rows of a table until it has so many. Columns with an expression get a new value in each copy.
func (f *Filler[Tx]) multiply(t *testing.T, table, columns string, fresh map[string]string, rows int) {
	t.Helper()
	into, values := columns, columns
	for name, value := range fresh {
		into, values = into+", "+name, values+", "+value
	}
	for {
		var n int
		if err := f.DB.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n >= rows {
			return
		}
		f.exec(t, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %[1]s LIMIT %[4]d", table, into, values, rows-n))
	}
}

// seed writes a failed delivery of each group, four scheduled records with the tag kind=photo, the last one also with n=77, and a parked record.
func (f *Filler[Tx]) seed(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	message := func(i int) parley.Message {
		return parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, ID: fmt.Sprint("m-", i), Body: []byte(`{"eventId": 1, "payload": {"user_id": 7, "name": ""}}`)}
	}
	var list []parley.Failure
	for i := range ConsoleGroups {
		m := message(i)
		list = append(list, parley.Failure{
			Message: m, Identity: parley.Identity(&m), State: parley.FailureParked, Fingerprint: ConsoleGroup(i + 1),
			History: parley.History{Attempts: 4, Reason: "retries used up", FirstError: "the name is empty", LastError: "the name is empty"},
		})
	}
	if _, err := f.Failures.Keep(ctx, "mail", list); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Log.LogAction(ctx, parley.Action{Name: parley.ActionReplay, By: "ann", Changed: 1}); err != nil {
		t.Fatal(err)
	}
	scheduled := make([]parley.Record, 4)
	for i := range scheduled {
		scheduled[i] = parley.Record{Message: message(100 + i), DueAt: time.Now().Add(time.Hour), Tags: map[string]string{"kind": "photo"}}
	}
	scheduled[3].Tags = map[string]string{"kind": "photo", "n": "77"}
	for _, records := range [][]parley.Record{scheduled, {{Message: message(200)}}} {
		if err := f.InTx(ctx, func(tx Tx) error { return f.Outbox.Insert(ctx, tx, records) }); err != nil {
			t.Fatal(err)
		}
	}
	b, err := f.Relay.Claim(ctx, parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Settle(context.WithoutCancel(ctx), nil, []parley.Parked{{Record: b.Records()[0], Reason: "too large"}}); err != nil {
		t.Fatal(err)
	}
}

// ConsoleTags select few, and all, of the scheduled records that a Filler writes.
func ConsoleTags() (rare, common parley.Selection) {
	sel := func(tags map[string]string) parley.Selection {
		return parley.Selection{Exchange: "user", RoutingKey: "renamed", Tags: tags}
	}
	return sel(map[string]string{"kind": "photo", "n": "77"}), sel(map[string]string{"kind": "photo"})
}
