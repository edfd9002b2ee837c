package sqlstoretest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
	"github.com/parley-go/parley/memory"
)

// A DjangoStore is a store on Django's table.
type DjangoStore[Tx any] interface {
	parley.OutboxStore[Tx]
	parley.RelaySource
	parley.RelayWaker
	parley.OutboxInspector
}

// A Django configures the checks of the Django mode. The tables are those of testdata.
type Django[Tx sqlstore.Tx] struct {
	// Open returns a store on a new database with the table of a version, "2.4", "2.5" or "2.6",
	// publishing as "vec-service", and InTx, which runs a user's transaction.
	Open func(t *testing.T, version string) (DjangoStore[Tx], *sql.DB, InTx[Tx])
	// Vectors is the folder of the recorded rows.
	Vectors string
}

// Test runs all checks.
func (d Django[Tx]) Test(t *testing.T) {
	t.Run("RowsArePublishedAsPythonWould", d.vectors)
	t.Run("GoPublishesSchedulesAndCancels", d.publish)
	t.Run("RelayDrainsOnNotice", d.drain)
	t.Run("PoisonousRowStaysAndOthersGoOn", d.poison)
	t.Run("OneOrderedRelayAtATime", d.lead)
	t.Run("DeletionSparesARowThatIsNotTheOneThatWasSent", d.sent)
	DjangoInsert(t, func(t *testing.T, version string) (DjangoStore[Tx], InTx[Tx]) {
		store, _, inTx := d.Open(t, version)
		return store, inTx
	})
	t.Run("CancelStormCountsExactlyWhatIsNeverSent", d.storm)
}

type rowVector struct {
	Case string         `json:"case"`
	ID   int64          `json:"id"`
	Row  map[string]any `json:"row"`
	Wire *struct {
		Exchange   string         `json:"exchange"`
		RoutingKey string         `json:"routing_key"`
		Properties map[string]any `json:"properties"`
		Body       string         `json:"body"`
	} `json:"wire"`
	Left bool             `json:"left_in_table"`
	Died *json.RawMessage `json:"relay_died"`
}

func (d Django[Tx]) vectors(t *testing.T) {
	for version, table := range map[string]string{"2.4.1": "2.4", "2.6.8": "2.6"} {
		store, db, _ := d.Open(t, table)
		text, err := os.ReadFile(d.Vectors + "/rows-" + version + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Vectors []rowVector `json:"vectors"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		for _, v := range doc.Vectors {
			if v.Case == "future_not_enabled" {
				continue // the 2.4 relay publishes future events at once by default; parley waits
			}
			t.Run(version+"/"+v.Case, func(t *testing.T) { publishRow(t, db, store, v) })
		}
	}
}

func publishRow(t *testing.T, db *sql.DB, store parley.RelaySource, v rowVector) {
	if v.Case == "old_payload_numbers" && isMySQL(t, db) {
		return // its payload has numbers that the JSON column of MySQL refuses, so such a row cannot exist there
	}
	insertRow(t, db, v)
	defer exec(t, db, "DELETE FROM "+sqlstore.DjangoTable)
	b, err := store.Claim(t.Context(), parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(t.Context())
	rows := b.Records()
	if v.Died == nil && len(rows) == 1 == v.Left {
		t.Fatalf("claimed %d rows, left in the table by Python: %v", len(rows), v.Left)
	}
	if v.Wire == nil || len(rows) == 0 {
		return
	}
	r := rows[0]
	if r.Exchange != v.Wire.Exchange || r.RoutingKey != v.Wire.RoutingKey || r.AppID != v.Wire.Properties["app_id"] {
		t.Errorf("published to %q %q by %q, want %q %q by %v", r.Exchange, r.RoutingKey, r.AppID, v.Wire.Exchange, v.Wire.RoutingKey, v.Wire.Properties["app_id"])
	}
	if want, _ := v.Wire.Properties["correlation_id"].(string); r.CorrelationID != want {
		t.Errorf("correlation id %q, want %q", r.CorrelationID, want)
	}
	if diff := cmp.Diff(sameFloats(t, v.Wire.Body), sameFloats(t, string(r.Body))); diff != "" {
		t.Errorf("body (-Python +Go)\n%s", diff)
	}
	if _, err := b.Settle(t.Context(), []int64{r.ID}, nil); err != nil {
		t.Error(err)
	}
}

// insertRow inserts a row that was recorded on PostgreSQL, in the form in which Django stores it in this database.
func insertRow(t *testing.T, db *sql.DB, v rowVector) {
	t.Helper()
	names, args := []string{"id"}, []any{v.ID}
	for name, value := range v.Row {
		if name == "id" {
			continue
		}
		if text, ok := value.(string); ok && strings.HasSuffix(name, "_time") {
			at, err := time.Parse("2006-01-02 15:04:05Z07", text)
			if err != nil {
				t.Fatal(err)
			}
			value = strings.TrimSuffix(at.UTC().Format("2006-01-02 15:04:05.000000"), ".000000")
		}
		names, args = append(names, name), append(args, value)
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(names)), ",")
	exec(t, db, "INSERT INTO "+sqlstore.DjangoTable+" ("+strings.Join(names, ",")+") VALUES ("+marks+")", args...)
}

func exec(t *testing.T, db *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// sameFloats reads JSON with numbers as the nearest float64, without the sign of zero:
// Python loses digits that Go keeps, and PostgreSQL, where the rows were recorded, keeps the sign.
func sameFloats(t *testing.T, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("read %s: %v", text, err)
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case json.Number:
			f, _, _ := big.ParseFloat(string(v), 10, 53, big.ToNearestEven)
			return f.Abs(f).Text('g', 17) + fmt.Sprint(f.Sign() != 0 && strings.HasPrefix(string(v), "-"))
		}
		return v
	}
	return walk(v)
}

type user struct{ FirstName string }

var (
	renamed = parley.NewEvent[user]("user", "update.base")
	remind  = parley.NewEvent[user]("user", "remind")
)

func (d Django[Tx]) publish(t *testing.T) {
	ctx := t.Context()
	store, db, inTx := d.Open(t, "2.6")
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	err = inTx(ctx, func(tx Tx) (err error) {
		in := outbox.In(tx)
		if id, err = parley.Publish(parley.WithCorrelationID(ctx, "corr"), in, renamed, user{"Ann"}); err != nil {
			return err
		}
		at := time.Now().Add(time.Hour)
		for i := range 3 {
			tags := parley.Tags{"user_id": i % 2, "n": i, "ключ\"<": "é%"}
			if _, err = parley.Publish(ctx, in, remind, user{}, parley.WithDueAt(at), parley.WithTags(tags)); err != nil {
				return err
			}
		}
		if again, err := parley.Publish(ctx, in, remind, user{}, parley.WithDueAt(at), parley.WithUnlessTags(parley.Tags{"n": 1})); err != nil || again != 0 {
			t.Errorf("recorded %d (%v) although one is pending", again, err)
		}
		if n, err := parley.Cancel(ctx, in, remind, parley.Tags{"user_id": "0", "ключ\"<": "é%"}); err != nil || n != 2 {
			t.Errorf("cancelled %d (%v), want 2", n, err)
		}
		sel := parley.Selection{Exchange: "user", RoutingKey: "remind", Tags: map[string]string{"n": "1"}}
		if n, err := store.Reschedule(ctx, tx, sel, at.Add(time.Hour)); err != nil || n != 1 {
			t.Errorf("moved %d (%v), want 1", n, err)
		}
		list, err := parley.Scheduled(ctx, in, remind, nil, 10)
		if len(list) != 1 || list[0].Tags["n"] != "1" || list[0].DueAt.Sub(at.Add(time.Hour)).Abs() > time.Millisecond {
			t.Errorf("scheduled %+v (%v)", list, err)
		}
		if len(list) == 1 {
			changeByID(ctx, t, in, id, list[0].ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, "INSERT INTO "+sqlstore.DjangoTable+" (create_time, exchange, routing_key, is_new_style) VALUES ('2020-01-01 00:00:00', 'vec', 'never', 1)")
	var body, properties string
	err = db.QueryRowContext(ctx, "SELECT body, properties FROM "+sqlstore.DjangoTable+" WHERE id = ?", id).Scan(&body, &properties)
	var sent struct { // the JSON columns of MySQL sort keys and add spaces
		CorrelationID string `json:"correlation_id"`
	}
	err = errors.Join(err, json.Unmarshal([]byte(properties), &sent))
	if err != nil || !strings.Contains(body, fmt.Sprintf(`"eventId": %d`, id)) || !strings.Contains(body, `"Ann"`) || sent.CorrelationID != "corr" {
		t.Errorf("a Python relay would publish %s with %s (%v)", body, properties, err)
	}
	st, err := store.Stats(ctx)
	if err != nil || st.Due != 1 || st.Scheduled != 1 || st.NeverDue != 1 {
		t.Errorf("stats %+v (%v), want 1 due, 1 scheduled and 1 never due", st, err)
	}
	checkSummary(ctx, t, store)
	wait, ok, err := store.NextDue(ctx)
	if err != nil || !ok || wait > 0 {
		t.Errorf("next due in %v (%v, %v), want at once", wait, ok, err)
	}
}

func (d Django[Tx]) drain(t *testing.T) {
	store, db, _ := d.Open(t, "2.6")
	broker := memory.NewBroker(nil)
	ctx, cancel := context.WithCancel(t.Context())
	batches := make(chan parley.BatchReport, 100)
	relay, err := parley.NewRelay(store, broker, &parley.RelayConfig{PollInterval: time.Hour, Hooks: parley.RelayHooks{Batch: func(b parley.BatchReport) { batches <- b }}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	for i := range 5 {
		exec(t, db, "INSERT INTO "+sqlstore.DjangoTable+` (create_time, exchange, routing_key, is_new_style, body, send_after_time, properties)
			VALUES ('2020-01-01 00:00:00', 'vec', 'k', 1, ?, '2020-01-01 00:00:00', '{"correlation_id": null}')`, fmt.Sprintf(`{"eventId": %d}`, i))
		select {
		case <-batches:
		case <-time.After(patience):
			t.Fatal("the relay was not woken: its poll interval is an hour")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(broker.Published()); n != 5 {
		t.Errorf("published %d, want 5", n)
	}
}

func (d Django[Tx]) due(t *testing.T, db *sql.DB, id, size int) {
	t.Helper()
	exec(t, db, "INSERT INTO "+sqlstore.DjangoTable+` (id, create_time, exchange, routing_key, is_new_style, body, send_after_time)
		VALUES (?, '2020-01-01 00:00:00', 'vec', 'k', 1, ?, '2020-01-01 00:00:00')`, id, `"`+strings.Repeat("x", size)+`"`)
}

func (d Django[Tx]) poison(t *testing.T) {
	store, db, _ := d.Open(t, "2.6")
	for i, size := range []int{10, 500, 10} {
		d.due(t, db, i+1, size)
	}
	relay, err := parley.NewRelay(store, memory.NewBroker(&memory.BrokerConfig{MaxBody: 100}), nil)
	if err == nil {
		_, err = relay.Drain(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	var left []int64
	err = sqlstore.Each(t.Context(), db, "SELECT id FROM "+sqlstore.DjangoTable, nil, func(rows *sql.Rows) error {
		left = append(left, 0)
		return rows.Scan(&left[len(left)-1])
	})
	if err != nil || !slices.Equal(left, []int64{2}) {
		t.Errorf("left %v (%v), want the one that the broker refuses", left, err)
	}
}

func (d Django[Tx]) lead(t *testing.T) {
	ctx := t.Context()
	store, db, _ := d.Open(t, "2.6")
	d.due(t, db, 1, 1)
	d.due(t, db, 2, 1)
	for range 3 {
		first, err := store.Claim(ctx, parley.ClaimOptions{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Claim(ctx, parley.ClaimOptions{Limit: 1}); err != parley.ErrStandby {
			t.Errorf("a second relay gets %v, want ErrStandby", err)
		}
		if err := first.Release(ctx); err != nil {
			t.Fatal(err)
		}
	}
	one, err := store.Claim(ctx, parley.ClaimOptions{Limit: 1, Mode: parley.RelayModeParallel})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Release(ctx)
	if r := one.Records(); len(r) != 1 || r[0].ID != 1 {
		t.Errorf("claimed %+v, want the first row", r)
	}
}

func (d Django[Tx]) storm(t *testing.T) {
	store, _, inTx := d.Open(t, "2.6")
	CancelStorm(t, store, inTx, StormSize(t))
}

// isMySQL reports whether db is a MySQL server, not MariaDB or SQLite.
func isMySQL(t *testing.T, db *sql.DB) bool {
	t.Helper()
	var version string
	return db.QueryRowContext(t.Context(), "SELECT @@version").Scan(&version) == nil && !strings.Contains(version, "MariaDB")
}

// changeByID finds and moves a scheduled row by its id. A row that is due at once is not found by its id, and not cancelled.
func changeByID(ctx context.Context, t *testing.T, in *parley.TxOutbox, atOnce, scheduled int64) {
	t.Helper()
	if _, ok, err := parley.ScheduledID(ctx, in, atOnce); err != nil || ok {
		t.Errorf("an event that is due at once is scheduled: %v (%v)", ok, err)
	}
	if cancelled, err := parley.CancelID(ctx, in, atOnce); err != nil || cancelled {
		t.Errorf("an event that is due at once was cancelled: %v (%v)", cancelled, err)
	}
	at := time.Now().Add(3 * time.Hour)
	if moved, err := parley.RescheduleID(ctx, in, scheduled, at); err != nil || !moved {
		t.Errorf("moved by its id: %v (%v)", moved, err)
	}
	if got, ok, err := parley.ScheduledID(ctx, in, scheduled); err != nil || !ok || got.DueAt.Sub(at).Abs() > time.Millisecond {
		t.Errorf("found by its id: %v, %v (%v)", got.DueAt, ok, err)
	}
}

// checkSummary expects 1 row that is due, 1 that is scheduled and 1 that is never due.
func checkSummary(ctx context.Context, t *testing.T, store any) {
	t.Helper()
	summarizer, ok := store.(parley.OutboxSummarizer)
	if !ok {
		t.Fatal("the store has no summary")
	}
	if sum, err := summarizer.Summary(ctx, 10); err != nil || sum.Due != 1 || sum.Scheduled != 1 || sum.NeverDue != 1 || sum.Partial {
		t.Errorf("summary %+v (%v), want 1 due, 1 scheduled and 1 never due", sum, err)
	}
	if sum, err := summarizer.Summary(ctx, 2); err != nil || sum.Due+sum.Scheduled+sum.NeverDue > 3 || !sum.Partial {
		t.Errorf("summary of the first rows %+v (%v), want it to say so", sum, err)
	}
}
