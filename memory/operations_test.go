package memory_test

import (
	"testing"

	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

func TestOperationsKeepThePromises(t *testing.T) {
	parleytest.TestOperations(t, func(*testing.T) parleytest.OperationsUnderTest {
		s := memory.NewStore()
		return parleytest.OperationsUnderTest{Failures: s.Failures(), Log: s, Control: s}
	})
}
