//go:build unix

package faulttests_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/sqlite"
)

// A writer, a reader and a relay use one file in separate processes. The relay dies 30 times, in mid-batch or
// at any moment. The others are not affected, and no process gets an error because the file is locked.
func TestSQLiteServesAWriterAReaderAndARelayThatDies(t *testing.T) {
	l := newSQLiteLab(t, 1)
	w := l.child("producer")
	// SQLite does not queue writers: a writer without pauses blocks all others.
	w.Settings = []string{"VICTIM_PAUSE=5"}
	writer, reader := spawn(t, w), spawn(t, l.child("reader"))
	writer.works()
	reader.works()
	random := chance(t)
	places := []point{beforePublish, midPublish, afterPublish, afterDelete, afterCommit, ""}
	const kills, batch = 30, 20
	relays := make([]*process, kills)
	for i := range relays {
		s := l.child("relay")
		s.Batch, s.Point, s.Pass = batch, places[i%len(places)], 1+random.IntN(3)
		relays[i] = spawn(t, s)
		if s.Point != "" {
			relays[i].diedAt(s.Point)
		} else {
			relays[i].works()
			relays[i].kill()
		}
		l.endLeases()
	}
	writer.stop()
	last := spawn(t, l.child("relay"))
	l.drained()
	last.stop()
	reader.stop()
	for _, p := range append(relays, writer, reader, last) {
		if strings.Contains(strings.ToLower(p.words()), "locked") {
			t.Errorf("the %s got an error because the file is locked:\n%s", p.role, p.words())
		}
	}
	if reader.heard("victim: reading finished") != 1 {
		t.Error("the reader did not finish")
	}
	f := l.judged()
	f.check(t, kills*batch)
	counts.add(t, f.row("kill -9 of a relay of SQLite, beside a writer and a reader", kills))
}

// The lease of a dead relay ends only by time, after 15 s.
func TestTheLeaseOfADeadRelayOfSQLiteRunsOut(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newSQLiteLab(t, 1)
	const batch = 100
	l.produce(2 * batch)
	s := l.child("relay")
	s.Batch, s.Point = batch, afterPublish
	spawn(t, s).diedAt(afterPublish)
	begin := time.Now()
	was, err := l.moved()
	if err != nil {
		t.Fatal(err)
	}
	successor := spawn(t, l.child("relay"))
	watch := stopwatch{t: t}
	watch.until("a standby takes over", l.moved, begin, was)
	if watch.longest > 20*time.Second {
		t.Errorf("the standby took over after %v, want at most 17 s plus a margin for a slow machine", watch.longest)
	}
	l.drained()
	successor.stop()
	f := l.judged()
	f.check(t, batch)
	r := f.row("kill -9 of the only relay of SQLite, until its lease has run out", 1)
	r.recovery = watch.longest
	counts.add(t, r)
}

// A drained outbox is empty. Receivers would treat a reused id as a duplicate.
func TestIDsOfSQLiteIncreaseOverDrainAndReopen(t *testing.T) {
	notShort(t)
	path := filepath.Join(t.TempDir(), "reopened.db")
	event := parley.NewEvent[fact](testenv.Unique(t, "faults"), "noted")
	var last int64
	const rounds, each = 10, 20
	for round := range rounds {
		for _, id := range publishAndDrain(t, path, event, each) {
			if id <= last {
				t.Fatalf("round %d: an event has id %d after %d", round, id, last)
			}
			last = id
		}
	}
	counts.add(t, row{fault: "an outbox on SQLite is drained and opened again", times: rounds, events: rounds * each})
}

// publishAndDrain opens the file, publishes, drains the outbox and closes the file.
func publishAndDrain(t *testing.T, path string, event *parley.EventType[fact], n int) (ids []int64) {
	t.Helper()
	store, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	outbox, err := parley.NewOutbox[sqlite.Tx](store, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err == nil {
		err = store.InTx(t.Context(), func(tx *sql.Tx) error {
			ids, err = parley.PublishAll(t.Context(), outbox.In(tx), event, make([]fact, n))
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	relay, err := parley.NewRelay(store, nowhere{}, &parley.RelayConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if moved, err := relay.Drain(t.Context()); err != nil || moved != n {
		t.Fatalf("%d events moved (%v), want %d", moved, err, n)
	}
	return ids
}

// nowhere accepts every message.
type nowhere struct{}

func (nowhere) Ready(context.Context) error { return nil }

func (nowhere) Publish(context.Context, []parley.Message) []error { return nil }
