//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// Rows that another program wrote without parley's checks, and that no broker can accept.
func poisonRows(exchange string) map[string][]any {
	const body = `{"eventTime": "2026-01-02T03:04:05.000000Z", "eventType": "noted", "aggregate": "a", "payload": {}}`
	return map[string][]any{
		"routing key":    {exchange, strings.Repeat("k", 256), body, `{}`},
		"correlation id": {exchange, "noted", body, `{"correlation_id": "` + strings.Repeat("c", 300) + `"}`},
		"body":           {exchange, "noted", strings.TrimSuffix(body, "}") + strings.Repeat(" ", parley.MaxBody) + "}", `{}`},
		"not found":      {"faults.no-such-exchange", "noted", body, `{}`},
		"header":         {exchange, "noted", body, `{"headers": {"` + strings.Repeat("h", 300) + `": "1"}}`},
	}
}

func TestRowsThatNoBrokerTakesAreParkedAndHoldUpNothing(t *testing.T) {
	l := newLab(t, 2)
	bad := poisonRows(l.exchanges[0])
	for kind, row := range bad {
		_, err := l.pool.Exec(t.Context(), "INSERT INTO parley_outbox (exchange, routing_key, kind, body, properties) VALUES ($1, $2, 'event', $3, $4)", row...)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	l.produce(5000)
	begin := time.Now()
	relay := l.relay(l.database, l.broker, func(_ *parley.RelayConfig, c *rabbitmq.Config) { c.Topology = parley.TopologyVerify })
	took := l.drained()
	relay.stop()
	t.Logf("5000 valid rows after %d invalid ones took %v", len(bad), time.Since(begin))
	if testenv.Late(t, took, 30*time.Second) {
		t.Errorf("the valid rows took %v", took)
	}
	parked, err := l.store.ListParked(t.Context(), 0, 100)
	if err != nil || len(parked) != len(bad) {
		t.Fatalf("%d rows are parked (%v), want %d", len(parked), err, len(bad))
	}
	for kind := range bad {
		found := false
		for _, p := range parked {
			found = found || strings.Contains(strings.ToLower(strings.ReplaceAll(p.Reason, "_", " ")), kind)
		}
		if !found {
			t.Errorf("no parked row has the %s for its reason", kind)
		}
	}
	f := l.judged()
	f.check(t, 0)
	counts.add(t, f.row(fmt.Sprintf("rows of %d kinds that no broker takes", len(bad)), len(bad)))
}

// The broker returns an unroutable message before its confirm. The publisher must match each return to its message, however late it arrives.
func TestEveryReturnedMessageIsMatchedAmongItsNeighbours(t *testing.T) {
	l := newLab(t, 1)
	proxy, broker := through(t, l.broker)
	const total, every = 5000, 100
	elsewhere := parley.NewEvent[fact](l.exchanges[0]+".elsewhere", "noted") // no queue is bound to it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		b := l.direct()
		_ = b.DeleteExchange(ctx, elsewhere.Exchange())
	})
	err := pgx.BeginFunc(t.Context(), l.pool, func(tx pgx.Tx) error {
		records := make([]parley.Record, total)
		for i := range records {
			event := l.events[0]
			if i%every == 0 {
				event = elsewhere
			}
			var err error
			if records[i], err = event.Record(fact{Number: l.number.Add(1)}); err != nil {
				return err
			}
		}
		return l.record(t.Context(), tx, records, committed)
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy.DelayReturn(5 * time.Millisecond)
	relay := l.relay(l.database, broker, func(c *parley.RelayConfig, _ *rabbitmq.Config) { c.Unroutable = parley.UnroutablePark })
	l.drained()
	relay.stop()
	parked := l.count("parley_parked WHERE exchange = '" + elsewhere.Exchange() + "'")
	if all := l.count("parley_parked"); parked != total/every || all != parked {
		t.Errorf("%d records are parked, %d of them unroutable, want %d", all, parked, total/every)
	}
	f := l.judged()
	f.check(t, 0)
	counts.add(t, f.row("delayed returns among confirms", proxy.Count(faultproxy.Delayed)))
}

// record inserts records with the next numbers of the ledger.
func (l *lab) record(ctx context.Context, tx pgx.Tx, records []parley.Record, f fate) error {
	first := l.number.Load() - int64(len(records))
	ids, err := l.outbox.In(tx).Record(ctx, records...)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO ledger (number, exchange, event_id, fate)
SELECT $4 + ordinality, $1, id, $3 FROM unnest($2::bigint[]) WITH ORDINALITY AS u (id, ordinality)`, l.exchanges[0], ids, f, first)
	return err
}

// Scheduled events arrive when they are due by the database's clock: not before, and not much later.
func TestScheduledEventsComeWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	const events = 1000
	l.schedule(events, time.Second, 4*time.Second)
	due := l.dueTimes()
	relay := l.relay(l.database, l.broker, nil)
	stop := l.consume()
	l.handled()
	stop()
	relay.stop()
	var late time.Duration
	r, err := l.pool.Query(t.Context(), "SELECT number, at FROM effects")
	if err != nil {
		t.Fatal(err)
	}
	var number int64
	var at time.Time
	_, err = pgx.ForEachRow(r, []any{&number, &at}, func() error {
		if at.Before(due[number]) {
			t.Errorf("event %d arrived %v early", number, due[number].Sub(at))
		}
		late = max(late, at.Sub(due[number]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the latest event arrived %v after it was due", late)
	if testenv.Late(t, late, 15*time.Second) { // far more than the poll interval, for a busy machine
		t.Errorf("an event arrived %v after it was due", late)
	}
	e := l.evidence()
	e.arrivals = l.arrivals()
	e.inQueue().check(t, 0)
	e.inEffect().check(t, 0)
	counts.add(t, e.inQueue().row("events scheduled over 4 s", events))
}

func TestThreeParallelRelaysShareAnOutboxWithoutDuplicates(t *testing.T) {
	l := newLab(t, 2)
	parallel := func(c *parley.RelayConfig, _ *rabbitmq.Config) { c.Mode = parley.RelayModeParallel }
	var relays []*relayUnderTest
	for range 3 {
		relays = append(relays, l.relay(l.database, l.broker, parallel))
	}
	l.produce(5000)
	l.drained()
	busy := 0
	for _, r := range relays {
		r.stop()
		if r.accepted.Load() > 0 {
			busy++
		}
	}
	if busy < 2 {
		t.Errorf("%d relays sent events, want several", busy)
	}
	f := l.judged()
	t.Logf("%d events overtook others, as this mode allows", len(f.reordered))
	r := f.row("three relays in parallel mode", busy)
	f.reordered = nil // no order is promised
	f.check(t, 0)
	counts.add(t, r)
}
