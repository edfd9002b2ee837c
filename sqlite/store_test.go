package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/sqlite"
)

var (
	_ parley.RelayWaker           = (*sqlite.Store)(nil)
	_ parleytest.Store[sqlite.Tx] = (*sqlite.Store)(nil)
)

func TestStore(t *testing.T) {
	parleytest.TestStore(t, func(t *testing.T) parleytest.StoreUnderTest[sqlite.Tx] {
		return underTest(open(t, nil))
	})
}

func underTest(s *sqlite.Store) parleytest.StoreUnderTest[sqlite.Tx] {
	return parleytest.StoreUnderTest[sqlite.Tx]{
		Store:        s,
		Begin:        func(ctx context.Context) (sqlite.Tx, error) { return s.DB().BeginTx(ctx, nil) },
		Commit:       func(_ context.Context, tx sqlite.Tx) error { return tx.Commit() },
		Rollback:     func(_ context.Context, tx sqlite.Tx) error { return tx.Rollback() },
		SingleWriter: true,
	}
}

// open returns a migrated store on a new file.
func open(t testing.TB, cfg *sqlite.Config) *sqlite.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "test.db"), cfg)
}

func openAt(t testing.TB, path string, cfg *sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
