package faulttests_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seedVariable is the environment variable that has a test choose again what it chose before.
const seedVariable = "PARLEY_FAULTS_SEED"

// chance returns what a test chooses by. Its seed is in the test's output, which go test shows with -v and of a test
// that has failed.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("chosen by %s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func TestASeedFromTheEnvironmentRepeatsTheChoices(t *testing.T) {
	t.Setenv(seedVariable, "42")
	first, second := chance(t), chance(t)
	for range 100 {
		if a, b := first.IntN(1000), second.IntN(1000); a != b {
			t.Fatalf("the same seed chose %d and %d", a, b)
		}
	}
}
