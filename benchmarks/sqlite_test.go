//go:build !race

package benchmarks_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/sqlite"
)

// BenchmarkSQLiteToMemory drains an outbox in SQLite into the in-process broker, against a hand-written
// loop that reads, appends to a slice and deletes, 1,000 rows per transaction.
func BenchmarkSQLiteToMemory(b *testing.B) {
	n := size()
	e := newEmbedded(b)
	for range b.N {
		compare(b,
			side{"bare loop", func(b *testing.B) int {
				e.fill(b, n)
				timed(func() { e.bareDrain(b, n) })
				return n
			}},
			side{"parley relay", func(b *testing.B) int {
				e.fill(b, n)
				relay := must(parley.NewRelay(e.store, e.broker, &parley.RelayConfig{Logger: quiet()}))
				timed(func() {
					if moved, err := relay.Drain(b.Context()); moved != n || err != nil {
						b.Fatalf("moved %d: %v", moved, err)
					}
				})
				if got, err := e.broker.Purge(b.Context(), "q"); got != n || err != nil {
					b.Fatalf("%d messages in the queue: %v", got, err)
				}
				return n
			}})
	}
}

// embedded is the environment without servers: a file and the in-process broker.
type embedded struct {
	store  *sqlite.Store
	db     *sql.DB // in addition to the store's own
	outbox *parley.Outbox[sqlite.Tx]
	event  *parley.EventType[user]
	broker *memory.Broker
}

func newEmbedded(b *testing.B) *embedded {
	b.Helper()
	path := filepath.Join(b.TempDir(), "outbox.db")
	e := &embedded{
		store:  must(sqlite.Open(path, nil)),
		event:  parley.NewEvent[user]("user", "user.renamed"),
		broker: memory.NewBroker(nil),
	}
	err := e.store.Migrate(b.Context())
	if err == nil {
		e.outbox, err = parley.NewOutbox[sqlite.Tx](e.store, nil)
	}
	if err == nil {
		e.db, err = sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	}
	if err == nil {
		err = e.broker.Declare(b.Context(), parley.Topology{
			Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "q"}},
			Bindings: []parley.Binding{{Queue: "q", Exchange: "user"}},
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, err := range []error{e.db.Close(), e.store.Close(), e.broker.Close(context.Background())} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	return e
}

func (e *embedded) fill(b *testing.B, n int) {
	b.Helper()
	for done := 0; done < n; done += 1000 {
		payloads := make([]user, min(1000, n-done))
		for i := range payloads {
			payloads[i] = payload(done + i)
		}
		err := e.store.InTx(b.Context(), func(tx *sql.Tx) error {
			_, err := parley.PublishAll(b.Context(), e.outbox.In(tx), e.event, payloads)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// bareDrain keeps the bodies in a slice, which is less work than in any broker.
func (e *embedded) bareDrain(b *testing.B, n int) {
	b.Helper()
	bodies := make([][]byte, 0, n)
	for len(bodies) < n {
		tx, err := e.db.BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		rows, err := tx.Query("SELECT id, body FROM parley_outbox ORDER BY id LIMIT 1000")
		if err != nil {
			b.Fatal(err)
		}
		var last int64
		for rows.Next() {
			var body []byte
			if err := rows.Scan(&last, &body); err != nil {
				b.Fatal(err)
			}
			bodies = append(bodies, body)
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
		if _, err := tx.Exec("DELETE FROM parley_outbox WHERE id <= ?", last); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}
