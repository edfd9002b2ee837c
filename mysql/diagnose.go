package mysql

import (
	"context"
	"strings"

	"github.com/parley-go/parley"
)

var (
	_ parley.Diagnoser = (*Store)(nil)
	_ parley.Diagnoser = (*DjangoStore)(nil)
)

// Diagnose implements parley.Diagnoser. It checks the server's version and clock, and that it accepts writes.
func (s *Store) Diagnose(ctx context.Context) []parley.Finding {
	var found parley.Findings
	var version string
	if err := s.relay.QueryRowContext(ctx, "SELECT version()").Scan(&version); err != nil {
		found.Problem("database", err.Error(), "")
		return found
	}
	found.Fine("database", "version %s", version)
	product := "MySQL"
	if strings.Contains(version, "MariaDB") {
		product = "MariaDB"
	}
	found.Support("database", product, version)
	if readOnly, err := s.readOnly(ctx); err != nil {
		found.Problem("database", err.Error(), "")
	} else if readOnly {
		found.Problem("database", "the database is a read-only standby (read_only is on)", "connect to the primary; after a failover, set read_only = OFF on the new one")
	}
	found.Clock(func() (seconds float64, err error) {
		err = s.relay.QueryRowContext(ctx, "SELECT UNIX_TIMESTAMP(NOW(6)) + 0.0").Scan(&seconds)
		return seconds, err
	})
	return found
}

// Diagnose implements parley.Diagnoser.
func (s *DjangoStore) Diagnose(ctx context.Context) []parley.Finding { return s.base.Diagnose(ctx) }
