package sqlite_test

import (
	"testing"

	"github.com/parley-go/parley/parleytest"
)

func TestOperationsKeepThePromises(t *testing.T) {
	parleytest.TestOperations(t, func(t *testing.T) parleytest.OperationsUnderTest {
		s := open(t, nil)
		return parleytest.OperationsUnderTest{Failures: s.Failures(), Log: s, Control: s}
	})
}
