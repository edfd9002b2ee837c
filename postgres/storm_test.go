package postgres_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/postgres"
)

func TestCancelStormOverDatabaseSQLCountsExactlyWhatIsNeverSent(t *testing.T) {
	db, s := openSQL(t)
	sqlstoretest.CancelStorm(t, s, func(ctx context.Context, fn func(tx postgres.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after a commit it does nothing
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Commit()
	}, sqlstoretest.StormSize(t))
}

func TestCancelStormOverPgxCountsExactlyWhatIsNeverSent(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	pool, s := openPgx(t)
	n := sqlstoretest.StormSize(t)
	records := make([]parley.Record, n)
	start := time.Now().Add(50 * time.Millisecond)
	for i := range records {
		records[i] = parley.Record{
			Message: parley.Message{Exchange: "mail", RoutingKey: "remind", ID: strconv.Itoa(i), Kind: parley.KindCommand, Body: []byte("{}")},
			DueAt:   start.Add(time.Duration(i) * 2 * time.Millisecond), Tags: map[string]string{"n": strconv.Itoa(i)},
		}
	}
	if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return s.Insert(ctx, tx, records) }); err != nil {
		t.Fatal(err)
	}
	broker := &sqlstoretest.Broker{}
	relay, err := parley.NewRelay(s, broker, &parley.RelayConfig{BatchSize: 10, PollInterval: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(ctx)
	var relaying, cancelling sync.WaitGroup
	relaying.Go(func() {
		if err := relay.Run(running); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	counts, order := make([]int, n), rand.Perm(n)
	for c := range 4 {
		cancelling.Go(func() {
			for at := c; at < n; at += 4 {
				i := order[at]
				sel := parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"n": strconv.Itoa(i)}}
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
					counts[i], err = s.Cancel(ctx, tx, sel)
					return err
				})
				if err != nil {
					t.Errorf("cancel record %d: %v", i, err)
				}
			}
		})
	}
	cancelling.Wait()
	untilEmpty(ctx, t, s)
	end()
	relaying.Wait()
	for i, was := range counts {
		if sent := broker.Count(strconv.Itoa(i)); was+sent != 1 {
			t.Errorf("record %d was counted as cancelled %d times and sent %d times, want one of both, once", i, was, sent)
		}
	}
}

// untilEmpty waits until the relay has emptied the outbox.
func untilEmpty(ctx context.Context, t *testing.T, s parley.OutboxInspector) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := s.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if st.Due+st.Scheduled == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the relay has not sent all events: %+v", st)
		}
	}
}
