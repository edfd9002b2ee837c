package memory_test

import (
	"testing"
	"time"

	"github.com/parley-go/parley/memory"
)

func TestRelayLeavesRecordsThatATransactionHasChanged(t *testing.T) {
	s := memory.NewStore()
	past := time.Now().Add(-time.Hour)
	_ = s.InTx(t.Context(), func(tx *memory.Tx) error {
		insert(t, s, tx, reminder("7", past), reminder("8", past), reminder("9", past))
		return nil
	})
	tx := begin(t, s)
	if n, err := s.Cancel(t.Context(), tx, of("7")); n != 1 || err != nil {
		t.Fatalf("cancel: %d, %v", n, err)
	}
	if n, err := s.Reschedule(t.Context(), tx, of("8"), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Fatalf("reschedule: %d, %v", n, err)
	}
	if n := due(t, s); n != 1 {
		t.Errorf("a relay gets %d records, want the one that no transaction changes", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := due(t, s); n != 3 {
		t.Errorf("after the rollback a relay gets %d records, want 3", n)
	}
}
