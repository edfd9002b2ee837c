//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A writer commits events on one exchange, one transaction after another.
type writer struct {
	l        *lab
	exchange int
	// group is how many events a transaction publishes.
	group int
	// undo rolls back one transaction in undo; 0 means none.
	undo int
	// ending chooses how a transaction ends, in place of undo.
	ending func() ending
	// fill makes the bodies larger.
	fill string
	// first is a statement that each transaction begins with, or empty.
	first string
	// hold is called before the end of each transaction and written after each commit, if they are not nil.
	hold    func()
	written func(numbers []int64)

	transactions int
	ended        [3]int // in each way
}

// An ending is how a transaction ends.
type ending int

const (
	commits ending = iota
	rollsBack
	panics
)

func (w *writer) choose() ending {
	w.transactions++
	switch {
	case w.ending != nil:
		return w.ending()
	case w.undo > 0 && w.transactions%w.undo == 0:
		return rollsBack
	}
	return commits
}

// write commits or rolls back one transaction.
func (w *writer) write(ctx context.Context) error {
	end := w.choose()
	w.ended[end]++
	payloads := make([]fact, w.group)
	numbers := make([]int64, w.group)
	for i := range payloads {
		numbers[i] = w.l.number.Add(1)
		payloads[i] = fact{Number: numbers[i], Fill: w.fill}
	}
	exchange := w.l.exchanges[w.exchange]
	if end != commits {
		if _, err := w.l.db.ExecContext(ctx, undoneLines(exchange, numbers)); err != nil {
			return err
		}
	}
	err := w.transact(ctx, func(tx transaction) error {
		if w.first != "" {
			if err := tx.execute(ctx, w.first); err != nil {
				return err
			}
		}
		ids, err := parley.PublishAll(ctx, tx.outbox, w.l.events[w.exchange], payloads)
		if err != nil {
			return err
		}
		if err = tx.execute(ctx, ledgerLines(exchange, numbers, ids)); err != nil {
			return err
		}
		return w.finish(end)
	})
	if end != commits && err == errUndo {
		return nil
	}
	if err == nil && w.written != nil {
		w.written(numbers)
	}
	return err
}

// transact turns the planned panic of a writer into its error.
func (w *writer) transact(ctx context.Context, fn func(tx transaction) error) (err error) {
	defer func() {
		if p := recover(); p == errUndo { // no panic, or the planned one; others are re-raised
			err = errUndo
		} else if p != nil {
			panic(p)
		}
	}()
	return w.l.inTx(ctx, fn)
}

// finish runs the last step of a transaction.
func (w *writer) finish(how ending) error {
	if w.hold != nil {
		w.hold()
	}
	switch how {
	case rollsBack:
		return errUndo
	case panics:
		panic(errUndo)
	}
	return nil
}

var errUndo = fmt.Errorf("planned rollback")

// produce commits about n events with one writer for each exchange. A tenth of the transactions is rolled back.
func (l *lab) produce(n int) {
	l.t.Helper()
	var writers sync.WaitGroup
	for i := range l.exchanges {
		w := writer{l: l, exchange: i, group: 5, undo: 10}
		writers.Go(func() { w.commit(n / len(l.exchanges)) })
	}
	writers.Wait()
}

// commit writes until n events are committed.
func (w *writer) commit(n int) {
	for w.ended[commits]*w.group < n {
		if err := w.write(w.l.t.Context()); err != nil {
			w.l.t.Errorf("produce: %v", err)
			return
		}
	}
}

// load commits events at about rate per second until stop is called. It ignores errors,
// because databases restart in these tests, and events and ledger fail together.
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
				// The end of the load does not cancel a transaction.
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
	var line entry
	l.each(ctx, "SELECT number, exchange, event_id, fate FROM ledger UNION ALL SELECT number, exchange, 0, 'rolled back' FROM undone ORDER BY 1",
		func() { e.ledger = append(e.ledger, line) }, &line.number, &line.exchange, &line.event, &line.fate)
	var n int64
	l.each(ctx, "SELECT l.number FROM parley_parked p JOIN ledger l ON l.event_id = p.record_id", func() { e.parked[n] = true }, &n)
	l.each(ctx, "SELECT number FROM effects", func() { e.effects[n]++ }, &n)
	e.left = l.count("parley_outbox")
	return e
}

// each scans each row into the same variables, and calls take after each.
func (l *lab) each(ctx context.Context, query string, take func(), places ...any) {
	l.t.Helper()
	rows, err := l.db.QueryContext(ctx, query)
	if err != nil {
		l.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			l.t.Fatal(err)
		}
		take()
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
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
	err = l.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

// drained waits until the outbox is empty and returns how long that took.
func (l *lab) drained() time.Duration {
	l.t.Helper()
	begin := time.Now()
	eventually(l.t, "the outbox is empty", func() bool { n, err := l.tryCount("parley_outbox"); return err == nil && n == 0 })
	return time.Since(begin)
}

// judged empties the queue and checks its messages.
func (l *lab) judged() findings {
	l.t.Helper()
	e := l.evidence()
	e.arrivals = l.arrivals()
	return e.inQueue()
}

// A stopwatch measures the time from a fault to the next progress.
type stopwatch struct {
	t       *testing.T
	longest time.Duration
}

// until waits until progress exceeds its old value, and records how long that took.
func (s *stopwatch) until(what string, progress func() (int, error), since time.Time, was int) {
	s.t.Helper()
	eventually(s.t, what, func() bool { n, err := progress(); return err == nil && n > was })
	s.longest = max(s.longest, time.Since(since))
}

// moved counts the events that the relay has deleted from the outbox.
func (l *lab) moved() (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = l.db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM ledger) - (SELECT count(*) FROM parley_outbox)").Scan(&n)
	return n, err
}
