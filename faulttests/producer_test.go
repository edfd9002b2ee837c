//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/postgres"
)

func TestAKilledProducerLeavesAnEventExactlyWhereItsTransactionCommitted(t *testing.T) {
	l := newLab(t, 2)
	relay := l.relay(l.database, l.broker, nil)
	places := []point{beforeInsert, afterInsert, afterLedger, afterLedgerCommit}
	const kills, pass = 40, 20
	for kill := range kills {
		s := l.child("producer")
		s.Point, s.Pass, s.First = places[kill%len(places)], pass, int64(1000*kill+1)
		spawn(t, s).diedAt(s.Point)
	}
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	// One of the four failpoints is after the commit.
	if want := kills*pass - kills*3/4; f.events != want {
		t.Errorf("%d events were committed, want %d", f.events, want)
	}
	counts.add(t, f.row(fmt.Sprintf("kill -9 of the producer at %d points", len(places)), kills))
}

// The producer does not learn the result of its commit. Only the database knows it, and the arrivals must
// match the database.
func TestALostAnswerToTheProducersCommitLeavesAnEventExactlyIfTheTransactionCommitted(t *testing.T) {
	l := newLab(t, 1)
	proxy, database := through(t, l.database)
	producer := poolTo(t, database, nil)
	outbox, err := postgres.New(producer, nil)
	if err != nil {
		t.Fatal(err)
	}
	through, err := parley.NewOutbox(outbox, nil)
	if err != nil {
		t.Fatal(err)
	}
	relay := l.relay(l.database, l.broker, nil)
	const times = 50
	for n := int64(1); n <= times; n++ {
		arrives := n%5 != 0 // the commit reaches the server
		tx, err := producer.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id, err := parley.Publish(t.Context(), through.In(tx), l.events[0], fact{Number: n})
		if err == nil {
			_, err = tx.Exec(t.Context(), ledgerLines(l.exchanges[0], []int64{n}, []int64{id}))
		}
		if err != nil {
			t.Fatal(err)
		}
		held := proxy.Count(faultproxy.Held)
		if arrives {
			proxy.BlackholeToClient()
		} else {
			proxy.BlackholeToServer()
		}
		committing := make(chan error, 1)
		go func() { committing <- tx.Commit(context.Background()) }()
		eventually(t, "the commit or its reply is held", func() bool { return proxy.Count(faultproxy.Held) > held })
		proxy.Cut()
		proxy.Heal()
		if err := <-committing; err == nil {
			t.Fatal("the commit returned without an error")
		}
		want := 0
		if arrives {
			want = 1
		}
		if rows := l.count(fmt.Sprintf("ledger WHERE number = %d", n)); rows != want {
			t.Fatalf("transaction %d has left %d lines in the ledger, want %d", n, rows, want)
		}
	}
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	if f.events != times-times/5 {
		t.Errorf("%d events were committed, want %d", f.events, times-times/5)
	}
	counts.add(t, f.row("lost answer to the producer's commit", times))
}
