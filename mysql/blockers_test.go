package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/mysql"
)

var (
	_ parley.BlockerInspector = (*mysql.Store)(nil)
	_ parley.BlockerInspector = (*mysql.DjangoStore)(nil)
)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("timed out waiting until %s", what)
		}
		<-tick.C
	}
}

var remind = parley.NewEvent[map[string]int]("mail", "remind")

func TestAnOpenCancellationDelaysNoOtherEvent(t *testing.T) {
	testenv.Long(t, "takes 4 seconds")
	for name, level := range map[string]sql.IsolationLevel{"READ COMMITTED": sql.LevelReadCommitted, "the default": sql.LevelDefault} {
		t.Run(name, func(t *testing.T) { openTransaction(t, level) })
	}
}

func openTransaction(t *testing.T, level sql.IsolationLevel) {
	s := open(t)
	outbox, err := parley.NewOutbox(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	publish := func(o ...parley.PublishOption) {
		t.Helper()
		err := s.InTx(ctx, func(tx *sql.Tx) error {
			_, err := parley.Publish(ctx, outbox.In(tx), remind, map[string]int{}, o...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 {
		publish(parley.WithDueAt(time.Now().Add(-time.Hour)), parley.WithTags(parley.Tags{"n": n}))
	}
	slow, err := s.DB().BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Rollback()
	if n, err := parley.Cancel(ctx, outbox.In(slow), remind, parley.Tags{"n": 0}); n != 1 || err != nil {
		t.Fatalf("cancelled %d (%v), want 1", n, err)
	}
	broker := memory.NewBroker(nil)
	named := make(chan []parley.Blocker, 100)
	relay, err := parley.NewRelay(s, broker, &parley.RelayConfig{Hooks: parley.RelayHooks{Blocked: func(b []parley.Blocker) { named <- b }}})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- relay.Run(running) }()
	defer func() { stop(); <-done }()
	for range 10 {
		publish()
	}
	eventually(t, "the events of all others are published", func() bool { return len(broker.Published()) == 11 })
	if b := <-named; len(b) != 1 || b[0].Open < time.Second || b[0].User == "" {
		t.Errorf("the blockers are %+v, want the one open transaction", b)
	}
	// It waits for no lock that the relay holds for long, and is not the victim of a deadlock.
	if n, err := parley.Cancel(ctx, outbox.In(slow), remind, parley.Tags{"n": 1}); n != 0 || err != nil {
		t.Errorf("the second cancellation of the transaction: %d, %v, want 0, because the event was published", n, err)
	}
	if err := slow.Commit(); err != nil {
		t.Errorf("the transaction cannot commit: %v", err)
	}
}

// Its DELETE waits for this transaction and then finds no row, so the relay misses no row.
func TestARelayWithoutLocksIsNoticedThoughItDeletesNothing(t *testing.T) {
	store, db, _ := openDjango(t, "2.6")
	ctx := t.Context()
	_, err := db.ExecContext(ctx, "INSERT INTO "+mysql.DjangoTable+` (create_time, exchange, routing_key, is_new_style, body, send_after_time)
		VALUES ('2020-01-01 00:00:00', 'vec', 'k', 1, '{}', '2020-01-01 00:00:00')`)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.Claim(ctx, parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(ctx)
	id := b.Records()[0].ID
	deleted := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(ctx, fmt.Sprintf("DELETE FROM `%s` WHERE `%[1]s`.`id` IN (%d)", mysql.DjangoTable, id))
		deleted <- err
	}()
	eventually(t, "the Python relay waits", func() bool {
		var n int
		err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'DELETE FROM %IN (%'").Scan(&n)
		return err == nil && n == 1
	})
	elsewhere, err := b.Settle(ctx, []int64{id}, nil)
	if elsewhere == 0 || err != nil {
		t.Errorf("a relay that waited to delete a claimed row was not counted (%v)", err)
	}
	if err := <-deleted; err != nil {
		t.Error(err)
	}
}
