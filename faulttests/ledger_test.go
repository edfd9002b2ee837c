package faulttests_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// ledgerSchema is written beside the outbox. The ledger belongs to the producer's transactions;
// undone is written outside of them, about those that roll back. Neither effects nor replies
// have a unique key: a second effect must show.
const ledgerSchema = `
CREATE TABLE ledger (
    number   bigint PRIMARY KEY,
    exchange text   NOT NULL,
    event_id bigint NOT NULL,
    fate     text   NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE undone (number bigint PRIMARY KEY, exchange text NOT NULL);
CREATE TABLE effects (number bigint NOT NULL, process int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX effects_number ON effects (number);
CREATE TABLE replies (number bigint NOT NULL, answer text NOT NULL);`

// A writer commits events on one exchange, one transaction after another.
type writer struct {
	l        *lab
	exchange int
	// group is how many events a transaction publishes.
	group int
	// undo rolls back one of so many transactions; 0 means none.
	undo int
	// fill makes the bodies larger.
	fill string

	transactions int
}

// write commits or rolls back one transaction.
func (w *writer) write(ctx context.Context) error {
	w.transactions++
	payloads := make([]fact, w.group)
	numbers := make([]int64, w.group)
	for i := range payloads {
		numbers[i] = w.l.number.Add(1)
		payloads[i] = fact{Number: numbers[i], Fill: w.fill}
	}
	exchange := w.l.exchanges[w.exchange]
	undo := w.undo > 0 && w.transactions%w.undo == 0
	if undo {
		q := "INSERT INTO undone (number, exchange) SELECT unnest($1::bigint[]), $2"
		if _, err := w.l.pool.Exec(ctx, q, numbers, exchange); err != nil {
			return err
		}
	}
	err := pgx.BeginFunc(ctx, w.l.pool, func(tx pgx.Tx) error {
		ids, err := parley.PublishAll(ctx, w.l.outbox.In(tx), w.l.events[w.exchange], payloads)
		if err != nil {
			return err
		}
		q := "INSERT INTO ledger (number, exchange, event_id, fate) SELECT unnest($1::bigint[]), $2, unnest($3::bigint[]), $4"
		if _, err = tx.Exec(ctx, q, numbers, exchange, ids, committed); err == nil && undo {
			err = errUndo
		}
		return err
	})
	if undo && err == errUndo {
		return nil
	}
	return err
}

var errUndo = fmt.Errorf("the producer changes its mind")

// produce commits about n events: one writer for each exchange, a tenth of the transactions rolled back.
func (l *lab) produce(n int) {
	l.t.Helper()
	var writers sync.WaitGroup
	for i := range l.exchanges {
		writers.Go(func() {
			w := writer{l: l, exchange: i, group: 5, undo: 10}
			for written := 0; written < n/len(l.exchanges); {
				if err := w.write(l.t.Context()); err != nil {
					l.t.Errorf("produce: %v", err)
					return
				}
				if w.transactions%w.undo != 0 {
					written += w.group
				}
			}
		})
	}
	writers.Wait()
}

// load commits events at about rate a second until stop is called. Errors end nothing:
// databases go down in these tests, and the ledger goes down with the events.
func (l *lab) load(rate int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	const group = 4
	interval := time.Second * group * time.Duration(len(l.exchanges)) / time.Duration(rate)
	for i := range l.exchanges {
		writers.Go(func() {
			w := writer{l: l, exchange: i, group: group, undo: 10}
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				// A transaction is not cut short by the end of the load.
				once, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
				_ = w.write(once)
				done()
			}
		})
	}
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); writers.Wait() }) }
	l.t.Cleanup(stop)
	return stop
}

// evidence reads the ledger, the outbox and the effects.
func (l *lab) evidence() evidence {
	l.t.Helper()
	e := evidence{parked: map[int64]bool{}, effects: map[int64]int{}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e.ledger = rows(l, ctx, "SELECT number, exchange, event_id, fate FROM ledger UNION ALL SELECT number, exchange, 0, 'rolled back' FROM undone ORDER BY 1",
		func(row pgx.CollectableRow) (line entry, err error) {
			return line, row.Scan(&line.number, &line.exchange, &line.event, &line.fate)
		})
	for _, n := range rows(l, ctx, "SELECT l.number FROM parley_parked p JOIN ledger l ON l.event_id = p.record_id", pgx.RowTo[int64]) {
		e.parked[n] = true
	}
	for _, n := range rows(l, ctx, "SELECT number FROM effects", pgx.RowTo[int64]) {
		e.effects[n]++
	}
	e.left = l.count("parley_outbox")
	return e
}

func rows[T any](l *lab, ctx context.Context, query string, scan pgx.RowToFunc[T]) []T {
	l.t.Helper()
	r, err := l.pool.Query(ctx, query)
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := pgx.CollectRows(r, scan)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// count counts the rows of a table.
func (l *lab) count(table string) int {
	l.t.Helper()
	n, err := l.tryCount(table)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func (l *lab) tryCount(table string) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = l.pool.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

// drained waits until the outbox is empty and returns how long that took.
func (l *lab) drained() time.Duration {
	l.t.Helper()
	begin := time.Now()
	eventually(l.t, "the outbox is empty", func() bool { n, err := l.tryCount("parley_outbox"); return err == nil && n == 0 })
	return time.Since(begin)
}

// judged empties the queue and judges what is in it.
func (l *lab) judged() findings {
	l.t.Helper()
	e := l.evidence()
	e.arrivals = l.arrivals()
	return e.inQueue()
}

// A stopwatch measures how long it takes from a fault to the next progress.
type stopwatch struct {
	t       *testing.T
	longest time.Duration
}

// until waits until progress is more than it was, and remembers how long that took.
func (s *stopwatch) until(what string, progress func() (int, error), since time.Time, was int) {
	s.t.Helper()
	eventually(s.t, what, func() bool { n, err := progress(); return err == nil && n > was })
	s.longest = max(s.longest, time.Since(since))
}

// moved counts the events that the relay is done with.
func (l *lab) moved() (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = l.pool.QueryRow(ctx, "SELECT (SELECT count(*) FROM ledger) - (SELECT count(*) FROM parley_outbox)").Scan(&n)
	return n, err
}
