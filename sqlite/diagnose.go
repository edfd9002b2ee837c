package sqlite

import (
	"context"

	"github.com/parley-go/parley"
)

var (
	_ parley.Diagnoser = (*Store)(nil)
	_ parley.Diagnoser = (*DjangoStore)(nil)
)

// Diagnose implements parley.Diagnoser. It checks the version of SQLite and the clock.
func (s *Store) Diagnose(ctx context.Context) []parley.Finding {
	var found parley.Findings
	var version string
	if err := s.db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		found.Problem("database", err.Error(), "")
		return found
	}
	found.Fine("database", "version %s", version)
	found.Clock(func() (seconds float64, err error) {
		err = s.db.QueryRowContext(ctx, "SELECT (julianday('now') - 2440587.5) * 86400.0").Scan(&seconds)
		return seconds, err
	})
	return found
}

// Diagnose implements parley.Diagnoser.
func (s *DjangoStore) Diagnose(ctx context.Context) []parley.Finding { return s.base.Diagnose(ctx) }
