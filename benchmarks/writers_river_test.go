//go:build !race

package benchmarks_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// renamed is a job with the payload of the event.
type renamed struct{ user }

// Kind implements river.JobArgs.
func (renamed) Kind() string { return "user_renamed" }

// A riverWriter inserts jobs within transactions. No worker takes them.
type riverWriter struct {
	*outbox
	client *river.Client[pgx.Tx]
}

// openRiver creates River's tables in a separate database, and a client without queues, which only inserts.
func openRiver(b *testing.B) *riverWriter {
	b.Helper()
	o := openOutbox(b)
	driver := riverpgxv5.New(o.pool)
	must(must(rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet()})).Migrate(b.Context(), rivermigrate.DirectionUp, nil))
	return &riverWriter{o, must(river.NewClient(driver, &river.Config{Logger: quiet()}))}
}

func (r *riverWriter) write(b *testing.B, n, writers int) int {
	b.Helper()
	r.outbox.write(b, n, writers, func(tx pgx.Tx, i int) error {
		_, err := r.client.InsertTx(b.Context(), tx, renamed{payload(i)}, nil)
		return err
	})
	r.empty(b, "river_job")
	return n
}
