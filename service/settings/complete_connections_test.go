package settings

import (
	"strings"
	"testing"
)

func TestTooFewConnectionsForTheHandlersAreWarnedOf(t *testing.T) {
	for n, want := range map[int]bool{16: true, 19: true, 20: false, 0: false} {
		s := &Settings{Queue: "q"}
		s.Database.URL, s.Database.MaxConnections = "postgres://127.0.0.1/x", n
		s.Broker.URL = "memory:"
		if mistakes := s.complete(nil); len(mistakes) > 0 {
			t.Fatal(mistakes)
		}
		if got := strings.Contains(strings.Join(s.Warnings(), "\n"), "database.max_connections"); got != want {
			t.Errorf("%d connections for concurrency %d: warned %v, want %v: %v", n, s.Consumer.Concurrency, got, want, s.Warnings())
		}
	}
}
