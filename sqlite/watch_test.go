package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

func TestOwnTransactionsWakeARelayAtOnce(t *testing.T) {
	s := open(t, &sqlite.Config{WatchInterval: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	woken, done := make(chan struct{}, 10), make(chan error, 1)
	go func() { done <- s.Watch(ctx, func() { woken <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		timeout := time.NewTimer(20 * time.Second)
		defer timeout.Stop()
		select {
		case <-woken:
		case <-timeout.C:
			t.Fatalf("no wake-up %s", what)
		}
	}
	wait("at the start")
	for range 3 {
		insert(t, s, parley.Record{Message: parley.Message{Exchange: "x", Kind: parley.KindCommand, Body: []byte("{}")}})
		wait("after a commit")
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Watch returns %v after its context has ended", err)
	}
}
