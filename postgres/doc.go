// Package postgres is parley's outbox and inbox on PostgreSQL, for pgx and for database/sql.
//
//	store, err := postgres.New(pool, nil)           // transactions are pgx.Tx
//	store, err := postgres.NewSQL(db, nil)          // transactions are *sql.Tx, or wrap it
//	err = store.Migrate(ctx)                        // or `parley migrate up`
//	outbox, err := parley.NewOutbox(store, nil)
//
// A producer needs INSERT and SELECT (id) on parley_outbox (SELECT, DELETE and UPDATE to cancel,
// to reschedule and for Unless); with USAGE on the sequence parley_outbox_id_seq as well, many records of one
// transaction go in by COPY, which takes half the time. The relay needs SELECT, DELETE and UPDATE of one column, for the
// row locks, and INSERT on parley_parked.
package postgres
