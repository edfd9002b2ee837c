package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

func TestDiagnoseReportsVersionAndClock(t *testing.T) {
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := s.Diagnose(t.Context())
	if len(found) != 2 || found[0].Name != "database" || found[1].Name != "clock" || found[0].Level != parley.FindingFine || found[1].Level != parley.FindingFine {
		t.Errorf("found %+v, want version and clock to be fine", found)
	}
}
