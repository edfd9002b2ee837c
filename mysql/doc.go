// Package mysql is parley's outbox and inbox on MySQL (8.0 or later) and MariaDB (10.6 or
// later), over go-sql-driver/mysql.
//
//	store, err := mysql.Open("user:password@tcp(db:3306)/shop", nil)    // or New, on a *sql.DB
//	err = store.Migrate(ctx)
//	outbox, err := parley.NewOutbox(store, nil)
//	err = store.InTx(ctx, func(tx *sql.Tx) error { ... outbox.In(tx) ... })
//
// Any settings of the DSN will do (parseTime, loc, the session's time_zone), but the
// character set has to be utf8mb4: times are kept in UTC and read as numbers.
//
// Transactions that cancel, reschedule or use Unless should run at READ COMMITTED, as InTx
// does. At REPEATABLE READ, the server's default, they are as safe, but InnoDB locks the
// gaps between index entries too, and callers that have nothing to do with each other
// can run into deadlocks (error 1213): then the caller has to repeat the transaction.
// A producer needs INSERT on parley_outbox and parley_outbox_tags, and SELECT on
// parley_outbox, from which MariaDB reads the ids back; to cancel, reschedule or for Unless,
// SELECT, UPDATE and DELETE on both, and for Unless SELECT and UPDATE on parley_locks.
package mysql
