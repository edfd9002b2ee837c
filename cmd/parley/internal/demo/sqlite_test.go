package demo

import (
	"bytes"
	"path/filepath"
	"testing"
)

func TestTheDemoSucceedsOnSQLite(t *testing.T) {
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "demo.db"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(t.Context(), &out, s); err != nil {
		t.Errorf("the demo failed: %v\n%s", err, &out)
	}
	wantInOrder(t, out.String(), "rolled back", "committed", "cancelled", "received", "after it was due", "Exactly the right events")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
