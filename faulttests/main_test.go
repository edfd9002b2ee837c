//go:build unix

package faulttests_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley/internal/testenv"
)

// TestMain runs the tests, writes the table and deletes the programs of the children.
func TestMain(m *testing.M) {
	// Parallel tests mostly wait, so more of them may run than there are processors. The flag -parallel overrides this.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, testenv.PgxCloses(), goleak.Cleanup(func(code int) {
		fmt.Print(outages.markdown())
		if err := errors.Join(counts.write(), removePrograms()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// faultsVariable is the environment variable that, set to "all", adds the tests that start servers of their
// own or take minutes.
const faultsVariable = "PARLEY_FAULTS"

// clusterFaults is the value of faultsVariable that runs the tests on a cluster and on a primary with its replica.
const clusterFaults = "cluster"

// needCluster skips a test that starts a cluster. PARLEY_TEST_ALL=1 does not turn this into a failure.
func needCluster(t *testing.T) {
	t.Helper()
	if os.Getenv(faultsVariable) != clusterFaults {
		testenv.SkipOptional(t, faultsVariable, clusterFaults)
	}
	notShort(t)
}

// needAll skips a test that is not in the quick set. PARLEY_TEST_ALL=1 does not turn this into a
// failure, because these tests are not part of the run that sets it.
func needAll(t *testing.T) {
	t.Helper()
	if os.Getenv(faultsVariable) != "all" {
		testenv.SkipOptional(t, faultsVariable, "all")
	}
	notShort(t)
}

// notShort skips a test with real servers in -short runs.
func notShort(t *testing.T) {
	t.Helper()
	testenv.Long(t, "takes seconds on real servers")
}
