package command

import (
	"context"
	"fmt"
	"time"
)

// lockPatience is how long a transaction may lock due records before the doctor reports it. A cancellation takes less.
const lockPatience = 2 * time.Second

// locks reports the sessions that lock due records. The relay skips locked records.
func (d *doctor) locks(ctx context.Context) {
	found, err := d.s.Database().Blockers(ctx)
	if err != nil {
		d.warn("locks", "cannot determine which sessions lock due records: "+d.s.Settings.Redact(err).Error(),
			"on MySQL and MariaDB, grant this account the privilege PROCESS")
		return
	}
	for _, b := range found {
		if b.Open > 0 && b.Open < lockPatience {
			continue
		}
		open := "for an unknown time"
		if b.Open > 0 {
			open = "for " + b.Open.Round(time.Second).String()
		}
		d.warn("locks", fmt.Sprintf("session %d (application %q, user %q) has locked records %s; the relay publishes them after that transaction ends", b.Session, b.Application, b.User, open),
			"end the transaction; on PostgreSQL: SELECT pg_terminate_backend(pid), on MySQL: KILL id")
	}
}
