// Package mysql is parley's outbox, inbox and table of failed deliveries on MySQL and MariaDB, over go-sql-driver/mysql;
// docs/policy.md lists the versions.
//
//	store, err := mysql.Open("user:password@tcp(db:3306)/shop", nil)    // or New, on a *sql.DB
//	err = store.Migrate(ctx)
//	outbox, err := parley.NewOutbox(store, nil)
//	err = store.InTx(ctx, func(tx *sql.Tx) error { ... outbox.In(tx) ... })
//
// The store works with nearly all settings of the DSN (parseTime, loc, time_zone, sql_mode, sql_safe_updates): times are stored
// in UTC and read as numbers. The character set must be utf8mb4, and autocommit must not be off.
//
// Transactions that cancel, reschedule or use WithUnlessTags should run at READ COMMITTED, as InTx
// does. At REPEATABLE READ, the server's default, they are as safe, but InnoDB also locks the
// gaps between index entries. So unrelated callers can run into deadlocks (error 1213), and the caller
// must repeat the transaction.
//
// The server rolls back the whole transaction of a deadlock's victim, not the one statement. So a handler, and the function of InTx, must
// return every database error. If the function goes on and returns nil, Once and InTx return an error, and the message is
// delivered again. But the statements that it ran after the deadlock were outside of the transaction, and may stay. A statement that
// commits by itself, such as CREATE TABLE, leads to the same error, after it has run.
//
// A producer needs INSERT on parley_outbox and parley_outbox_tags, and SELECT on
// parley_outbox, from which MariaDB reads the ids back; to cancel, reschedule or for WithUnlessTags,
// SELECT, UPDATE and DELETE on both, and for WithUnlessTags SELECT and UPDATE on parley_locks. A consumer needs SELECT, INSERT,
// UPDATE and DELETE on parley_inbox, parley_failed and parley_failed_body.
package mysql
