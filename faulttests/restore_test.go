//go:build unix

package faulttests_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley/internal/testenv"
)

// producer returns a lab with a separate database that shares queue and exchanges with this one.
func (l *lab) producer(database string) *lab {
	l.t.Helper()
	return &lab{t: l.t, database: database, broker: l.broker, queue: l.queue, exchanges: l.exchanges, events: l.events}
}

// A restored database continues with the ids of the dump: its events are new, but have the ids of events that were
// published before.
func TestNewEventsOfARestoredDatabaseAreNotTakenForDuplicates(t *testing.T) {
	needAll(t)
	for _, c := range []struct {
		name   string
		change func(*amqp.Publishing)
	}{
		{"with message ids", nil},
		{"without, as Python sends them", func(m *amqp.Publishing) { m.MessageId = "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1) // the consumer's
			before := l.producer(testenv.Postgres(t))
			before.open()
			before.publish(200)
			dump := filepath.Join(t.TempDir(), "dump.sql")
			command(t, executable(t, "/usr/lib/postgresql/*/bin/pg_dump"), "--dbname="+before.database, "--file="+dump, "--no-owner")
			before.publish(200) // these are not in the dump
			after := before.producer(testenv.Postgres(t))
			command(t, executable(t, "/usr/lib/postgresql/*/bin/psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname="+after.database, "--file="+dump)
			after.openPostgres()
			after.number.Store(before.number.Load())
			after.publish(200)

			e := l.evidence()
			e.ledger = before.evidence().ledger
			known, again := map[int64]bool{}, 0
			for _, line := range e.ledger {
				known[line.number] = true
			}
			ids := eventIDs(e.ledger)
			for _, line := range after.evidence().ledger {
				if known[line.number] {
					continue // restored
				}
				e.ledger = append(e.ledger, line)
				if line.fate == committed && ids[line.event] {
					again++
				}
			}
			l.multiply(2, c.change)
			messages := 0
			for _, line := range e.ledger {
				if line.fate == committed {
					messages += 2
				}
			}
			l.settleAll(l.store, messages, leaveEffect)
			e.effects = l.evidence().effects
			f := e.inEffect()
			f.check(t, 0)
			counts.add(t, f.row("ids that came again after a restore, "+c.name, again))
		})
	}
}

// eventIDs returns the ids of the events.
func eventIDs(ledger []entry) map[int64]bool {
	ids := map[int64]bool{}
	for _, line := range ledger {
		if line.fate == committed {
			ids[line.event] = true
		}
	}
	return ids
}

// command runs a program and waits for its end.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}
