package mysql_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

// watchedFor returns a channel that gets a value for each wake-up, until the test ends.
func watchedFor(t *testing.T, s *mysql.Store) <-chan struct{} {
	t.Helper()
	woken, done := make(chan struct{}, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Watch(ctx, func() { woken <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return woken
}

func wantWakeUp(t *testing.T, woken <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(30 * time.Second):
		t.Fatalf("no wake-up %s", what)
	}
}

func TestACommitOfAnotherProcessWakesARelayThatWatches(t *testing.T) {
	s := open(t)
	other, err := mysql.New(s.DB(), nil)
	if err != nil {
		t.Fatal(err)
	}
	woken := watchedFor(t, s)
	wantWakeUp(t, woken, "at the start")
	for _, due := range []time.Time{{}, time.Now().Add(time.Hour)} {
		err := other.InTx(t.Context(), func(tx *sql.Tx) error {
			m := parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, Body: []byte(`{}`)}
			return other.Insert(t.Context(), tx, []parley.Record{{Message: m, DueAt: due}})
		})
		if err != nil {
			t.Fatal(err)
		}
		wantWakeUp(t, woken, "after a commit")
	}
}
