package sqlite_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley/sqlite"
)

// Two processes start a little apart: the second one must not fail because the first one is in the middle of its migrations.
func TestMigrateMayStartWhileAnotherIsRunning(t *testing.T) {
	rounds := 24
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		path := filepath.Join(t.TempDir(), "test.db")
		var wg sync.WaitGroup
		for n := range 3 {
			wg.Go(func() {
				<-time.After(time.Duration(n*(round%12)) * time.Millisecond)
				s, err := sqlite.Open(path, nil)
				if err != nil {
					t.Errorf("round %d, process %d: open: %v", round, n, err)
					return
				}
				if err := errors.Join(s.Migrate(t.Context()), s.Close()); err != nil {
					t.Errorf("round %d, process %d: %v", round, n, err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
}
