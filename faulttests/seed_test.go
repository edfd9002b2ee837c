//go:build unix

package faulttests_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seedVariable is the environment variable with the random seed of an earlier run, to repeat its choices.
const seedVariable = "PARLEY_FAULTS_SEED"

// chance returns the random source of a test. It logs the seed, which go test shows with -v and for failed
// tests.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("random choices: %s=%d", seedVariable, seed)
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
