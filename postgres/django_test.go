package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

var (
	_ parley.OutboxStore[pgx.Tx]      = (*postgres.DjangoStore)(nil)
	_ parley.RelayWaker               = (*postgres.DjangoStore)(nil)
	_ parley.OutboxInspector          = (*postgres.DjangoStore)(nil)
	_ parley.OutboxStore[postgres.Tx] = (*postgres.DjangoSQLStore)(nil)
	_ parley.RelaySource              = (*postgres.DjangoSQLStore)(nil)
)

// openDjango returns a store on the table of a version of the Python library.
func openDjango(t *testing.T, version string) (*pgxpool.Pool, *postgres.DjangoStore) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	ddl, err := os.ReadFile("testdata/django-" + version + ".sql")
	if err == nil {
		_, err = pool.Exec(t.Context(), string(ddl))
	}
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.NewDjango(pool, &postgres.DjangoConfig{AppID: "vec-service"})
	if err != nil {
		t.Fatal(err)
	}
	return pool, store
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

func rowVectors(t *testing.T, version string) []rowVector {
	t.Helper()
	text, err := os.ReadFile("testdata/rows-" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Vectors []rowVector `json:"vectors"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Vectors
}

func TestDjangoRowsArePublishedAsPythonWould(t *testing.T) {
	for version, table := range map[string]string{"2.4.1": "2.4", "2.6.8": "2.6"} {
		pool, store := openDjango(t, table)
		for _, v := range rowVectors(t, version) {
			if version == "2.4.1" && v.Row["is_new_style"] != nil {
				continue // rows with columns that 2.4 does not have
			}
			if v.Case == "future_not_enabled" {
				continue // the 2.4 relay publishes future events at once by default; parley waits
			}
			t.Run(version+"/"+v.Case, func(t *testing.T) { publishRow(t, pool, store, v) })
		}
	}
}

func publishRow(t *testing.T, pool *pgxpool.Pool, store *postgres.DjangoStore, v rowVector) {
	ctx := t.Context()
	insertRow(t, pool, v)
	defer func() {
		if _, err := pool.Exec(ctx, "TRUNCATE "+postgres.DjangoTable); err != nil {
			t.Fatal(err)
		}
	}()
	b, err := store.Claim(ctx, parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(ctx)
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
}

func insertRow(t *testing.T, pool *pgxpool.Pool, v rowVector) {
	t.Helper()
	names, places, args := []string{"id"}, []string{"$1"}, []any{v.ID}
	for name, value := range v.Row {
		if name == "id" {
			continue
		}
		names = append(names, name)
		args = append(args, value)
		kind := map[string]string{"tags": "::text::jsonb", "payload": "::text::jsonb", "body": "::text::jsonb", "properties": "::text::jsonb",
			"event_time": "::text::timestamptz", "send_after_time": "::text::timestamptz", "create_time": "::text::timestamptz", "is_new_style": "::boolean"}[name]
		places = append(places, fmt.Sprintf("$%d%s", len(args), kind))
	}
	q := "INSERT INTO " + postgres.DjangoTable + " (" + strings.Join(names, ",") + ") VALUES (" + strings.Join(places, ",") + ")"
	if _, err := pool.Exec(t.Context(), q, args...); err != nil {
		t.Fatalf("PostgreSQL rejects the row: %v", err)
	}
}

// sameFloats reads JSON with numbers as the nearest float64: Python loses digits that Go keeps.
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
			return f.Text('g', 17)
		}
		return v
	}
	return walk(v)
}

func TestGoPublishesSchedulesAndCancelsInTheDjangoTable(t *testing.T) {
	ctx := t.Context()
	pool, store := openDjango(t, "2.6")
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	type user struct{ FirstName string }
	renamed := parley.NewEvent[user]("user", "update.base")
	remind := parley.NewEvent[user]("user", "remind")
	var id int64
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		in := outbox.In(tx)
		if id, err = parley.Publish(parley.WithCorrelationID(ctx, "corr"), in, renamed, user{"Ann"}); err != nil {
			return err
		}
		at := time.Now().Add(time.Hour)
		for i := range 3 {
			if _, err = parley.Publish(ctx, in, remind, user{}, parley.WithDueAt(at), parley.WithTags(parley.Tags{"user_id": i % 2, "n": i})); err != nil {
				return err
			}
		}
		if again, err := parley.Publish(ctx, in, remind, user{}, parley.WithDueAt(at), parley.WithUnlessTags(parley.Tags{"n": 1})); err != nil || again != 0 {
			t.Errorf("recorded %d (%v) although one is pending", again, err)
		}
		n, err := parley.Cancel(ctx, in, remind, parley.Tags{"user_id": "0"})
		if n != 2 {
			t.Errorf("cancelled %d, want 2", n)
		}
		list, err2 := parley.Scheduled(ctx, in, remind, nil, 10)
		if len(list) != 1 || list[0].Tags["n"] != "1" {
			t.Errorf("scheduled %+v (%v)", list, err2)
		}
		if len(list) == 1 {
			changeByID(ctx, t, in, id, list[0].ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var body, properties string
	var newStyle bool
	var eventTime *time.Time
	err = pool.QueryRow(ctx, "SELECT body::text, properties::text, is_new_style, event_time FROM "+postgres.DjangoTable+" WHERE id = $1", id).Scan(&body, &properties, &newStyle, &eventTime)
	if err != nil || !newStyle || eventTime != nil {
		t.Fatalf("row: %v, new style %v, event time %v", err, newStyle, eventTime)
	}
	if !strings.Contains(body, fmt.Sprintf(`"eventId": %d`, id)) || !strings.Contains(body, `"firstName": "Ann"`) || !strings.Contains(properties, `"correlation_id": "corr"`) {
		t.Errorf("a Python relay would publish %s with %s", body, properties)
	}
	st, err := store.Stats(ctx)
	if err != nil || st.Due != 1 || st.Scheduled != 1 {
		t.Errorf("stats %+v (%v), want 1 due and 1 scheduled", st, err)
	}
	if sum, err := store.Summary(ctx, 10); err != nil || sum.Due != 1 || sum.Scheduled != 1 || sum.Partial {
		t.Errorf("summary %+v (%v), want 1 due and 1 scheduled", sum, err)
	}
	if sum, err := store.Summary(ctx, 1); err != nil || !sum.Partial {
		t.Errorf("summary of the first row %+v (%v), want it to say so", sum, err)
	}
}

func TestRelayDrainsTheDjangoTableOnNotification(t *testing.T) {
	pool, store := openDjango(t, "2.6")
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
		_, err := pool.Exec(ctx, "INSERT INTO "+postgres.DjangoTable+` (create_time, exchange, routing_key, is_new_style, body, send_after_time, properties)
			VALUES (now(), 'vec', 'k', true, jsonb_build_object('eventId', $1::int), now(), '{"correlation_id": null}')`, i)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-batches:
		case <-time.After(20 * time.Second):
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

func TestPoisonousDjangoRowStaysAndOthersGoOn(t *testing.T) {
	ctx := t.Context()
	pool, store := openDjango(t, "2.6")
	broker := memory.NewBroker(&memory.BrokerConfig{MaxBody: 100})
	for i, size := range []int{10, 500, 10} {
		_, err := pool.Exec(ctx, "INSERT INTO "+postgres.DjangoTable+` (id, create_time, exchange, routing_key, is_new_style, body, send_after_time)
			VALUES ($1, now(), 'vec', 'k', true, to_jsonb(repeat('x', $2)), now())`, i+1, size)
		if err != nil {
			t.Fatal(err)
		}
	}
	relay, err := parley.NewRelay(store, broker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(ctx, "SELECT id FROM "+postgres.DjangoTable)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || !slices.Equal(left, []int64{2}) {
		t.Errorf("left %v (%v), want the one that the broker refuses", left, err)
	}
}

func TestGoOnlyRelaysOnTheTableOfVersion24AndSaysSo(t *testing.T) {
	ctx := t.Context()
	pool, store := openDjango(t, "2.4")
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	remind := parley.NewEvent[struct{}]("user", "remind")
	tags := parley.Tags{"user_id": 1}
	for what, do := range map[string]func(in *parley.TxOutbox) error{
		"publish": func(in *parley.TxOutbox) error { _, err := parley.Publish(ctx, in, remind, struct{}{}); return err },
		"reschedule": func(in *parley.TxOutbox) error {
			_, err := parley.Reschedule(ctx, in, remind, tags, time.Now().Add(time.Hour))
			return err
		},
	} {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			err := do(outbox.In(tx))
			if _, usable := tx.Exec(ctx, "SELECT 1"); usable != nil {
				t.Errorf("%s: the transaction is not usable: %v", what, usable)
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "older than version 2.5") || !strings.Contains(err.Error(), "run Django's migrations") {
			t.Errorf("%s: %v, want an error that says what to do", what, err)
		}
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO "+postgres.DjangoTable+` (create_time, exchange, routing_key, event_time, aggregate, event_type, payload, tags)
			VALUES (now(), 'user', 'remind', now() + interval '1 hour', 'user', 'remind', '{}', '{"user_id": "1"}')`)
		if err != nil {
			return err
		}
		n, err := parley.Cancel(ctx, outbox.In(tx), remind, tags)
		if n != 1 {
			t.Errorf("cancelled %d, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Errorf("cancel: %v", err)
	}
}

func TestKeysOfDataAreUnchangedThroughTheDjangoTableAndARelayOfParley(t *testing.T) {
	ctx := t.Context()
	pool, store := openDjango(t, "2.6")
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	counted := parley.NewEvent[map[string]int]("user", "counted")
	want := map[string]int{"EUR": 1, "user_id": 2, "sku12": 3, "a_b_c": 4}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), counted, want)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.Claim(ctx, parley.ClaimOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(ctx)
	if len(b.Records()) != 1 {
		t.Fatalf("%d records, want 1", len(b.Records()))
	}
	m := b.Records()[0].Message
	if !strings.Contains(string(m.Body), `"userId": 2`) { // jsonb has its own order and spaces
		t.Errorf("a Python relay would publish %s", m.Body)
	}
	var got map[string]int
	r := parley.NewRouter()
	parley.On(r, counted, func(_ context.Context, e parley.Event[map[string]int]) error { got = e.Payload; return nil })
	if err := r.Dispatch(ctx, parley.NewDelivery(m, "q", false, nil)); err != nil || !maps.Equal(got, want) {
		t.Errorf("received %v (%v), want %v", got, err, want)
	}
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
