package mysql_test

import (
	"testing"

	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/parleytest"
)

// testOperations runs the suite in one database: creating one takes longer than most subtests.
func testOperations(t *testing.T, s *mysql.Store) {
	parleytest.TestOperations(t, func(t *testing.T) parleytest.OperationsUnderTest {
		for _, table := range []string{"parley_failed", "parley_failed_body", "parley_log", "parley_control"} {
			if _, err := s.DB().ExecContext(t.Context(), "TRUNCATE TABLE "+table); err != nil {
				t.Fatal(err)
			}
		}
		return parleytest.OperationsUnderTest{Failures: s.Failures(), Log: s, Control: s}
	})
}

func TestOperationsKeepThePromises(t *testing.T) { testOperations(t, open(t)) }

// With another time zone, safe updates and found rows instead of changed ones.
func TestOperationsKeepThePromisesOverAnyConnection(t *testing.T) { testOperations(t, openPlain(t)) }
