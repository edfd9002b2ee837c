// Package postgres is parley's outbox, inbox and table of failed deliveries on PostgreSQL, for pgx and for database/sql.
//
//	store, err := postgres.New(pool, nil)           // transactions are pgx.Tx
//	store, err := postgres.NewSQL(db, nil)          // transactions are *sql.Tx, or wrap it
//	err = store.Migrate(ctx)                        // or `parley migrate up`
//	outbox, err := parley.NewOutbox(store, nil)
//
// A producer needs INSERT and SELECT (id) on parley_outbox, and SELECT, DELETE and UPDATE to cancel,
// to reschedule and for WithUnlessTags. With USAGE on the sequence parley_outbox_id_seq too, many records of one
// transaction are written by COPY, which takes half the time. The relay needs SELECT, DELETE and UPDATE of one column, for
// the row locks, and INSERT on parley_parked.
//
// A consumer keeps its failed deliveries in parley_failed ([Store.Failures]): it needs SELECT, INSERT, UPDATE and DELETE on
// that table and USAGE on the sequence parley_failed_id_seq.
package postgres
