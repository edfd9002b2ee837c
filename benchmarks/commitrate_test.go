//go:build !race

package benchmarks_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// BenchmarkCommitAtRate measures the commit of one event, and its whole transaction, at a steady rate, against a bare one. At
// 100 a second the relay looks for records between two commits; at 20 it sleeps, so that commits wake it.
// The metric asleep is the share of commits that began while it slept.
func BenchmarkCommitAtRate(b *testing.B) {
	for _, c := range []struct{ rate, n int }{{100, 300}, {20, 100}} {
		b.Run(fmt.Sprint(c.rate), func(b *testing.B) {
			w, o := setUp(b), openOutbox(b)
			bare := openBareWriter(b, w, o)
			watcher := must(pgx.Connect(b.Context(), o.pool.Config().ConnString()))
			b.Cleanup(func() { _ = watcher.Close(context.Background()) })
			pace := time.Second / time.Duration(c.rate)
			for range b.N {
				var theirs, ours commitTimes
				for round := range rounds() {
					them := func() { bare.commits(b, &theirs, c.n, pace, watcher, bare.insert) }
					us := func() {
						stop := w.startRelay(b, o.moved(b, w))
						o.commits(b, &ours, c.n, pace, watcher, w.publishIn(b.Context(), o))
						stop(c.n)
					}
					if round%2 == 0 {
						them()
						us()
					} else {
						us()
						them()
					}
				}
				theirs.log(b, "bare")
				ours.log(b, "parley")
				reportLatency(b, theirs.commit, ours.commit)
				b.ReportMetric(float64(ours.asleep)/float64(len(ours.commit)), "asleep")
			}
		})
	}
}

// commitTimes are durations in microseconds.
type commitTimes struct {
	commit, transaction []float64
	p50, p99            []float64 // of the commits of each round
	asleep              int       // commits that began while a relay slept
}

func (t *commitTimes) log(b *testing.B, name string) {
	b.Helper()
	b.Logf("%s: commit p50 %s µs, p99 %s µs over the rounds; transaction p50 %.0f µs, p99 %.0f µs; %d of %d while a relay slept", name,
		spread(t.p50, 0), spread(t.p99, 0), percentile(t.transaction, .5), percentile(t.transaction, .99), t.asleep, len(t.commit))
}

// commits runs n transactions on one connection, one per pace, and adds their times to t.
func (o *outbox) commits(b *testing.B, t *commitTimes, n int, pace time.Duration, watcher *pgx.Conn, insert func(tx pgx.Tx, i int) error) {
	b.Helper()
	conn := must(pgx.Connect(b.Context(), o.pool.Config().ConnString()))
	defer conn.Close(context.Background())
	tick := time.NewTicker(pace)
	defer tick.Stop()
	first := len(t.commit)
	for i := range n + 10 { // the first ten prepare the statements
		<-tick.C
		slept := relaySleeps(b, watcher)
		start := time.Now()
		tx, err := conn.Begin(b.Context())
		if err == nil {
			err = insert(tx, i)
		}
		if err != nil {
			b.Fatal(err)
		}
		if i < 10 {
			if err := tx.Rollback(b.Context()); err != nil {
				b.Fatal(err)
			}
			continue
		}
		committing := time.Now()
		if err := tx.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		t.commit, t.transaction = append(t.commit, micros(time.Since(committing))), append(t.transaction, micros(time.Since(start)))
		if slept {
			t.asleep++
		}
	}
	t.p50, t.p99 = append(t.p50, percentile(t.commit[first:], .5)), append(t.p99, percentile(t.commit[first:], .99))
}

// relaySleeps reports whether a relay sleeps in the database of c: the lock is that of the trigger parley_outbox_notify.
func relaySleeps(b *testing.B, c *pgx.Conn) (sleeps bool) {
	b.Helper()
	err := c.QueryRow(b.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1885434476
		AND mode = 'ExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&sleeps)
	if err != nil {
		b.Fatal(err)
	}
	return sleeps
}
