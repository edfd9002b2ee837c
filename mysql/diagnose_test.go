package mysql_test

import (
	"slices"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

func TestDiagnoseReportsVersionAndClock(t *testing.T) {
	s, err := mysql.Open(testenv.MariaDB(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := s.Diagnose(t.Context())
	// A series that is newer than parley's table adds that its end of support is unknown.
	if len(found) < 2 || len(found) > 3 || found[0].Name != "database" || found[len(found)-1].Name != "clock" ||
		slices.ContainsFunc(found, func(f parley.Finding) bool { return f.Level != parley.FindingFine }) {
		t.Errorf("found %+v, want version and clock to be fine", found)
	}
}

func TestDiagnoseOfAServerThatIsUnreachableIsOneProblem(t *testing.T) {
	s, err := mysql.Open("user@tcp(127.0.0.1:1)/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if found := s.Diagnose(t.Context()); len(found) != 1 || found[0].Level != parley.FindingProblem {
		t.Errorf("found %+v, want one problem", found)
	}
}
