// Package sqlite is parley's outbox and inbox in a SQLite file, on the pure Go driver
// modernc.org/sqlite. It needs no server and no cgo.
//
//	store, err := sqlite.Open("app.db", nil)        // or New, on a *sql.DB that you have
//	err = store.Migrate(ctx)
//	outbox, err := parley.NewOutbox(store, nil)
//	err = store.InTx(ctx, func(tx *sql.Tx) error { ... outbox.In(tx) ... })
//
// SQLite has one writer at a time. A relay therefore never keeps a write transaction open
// while the broker is busy: it writes down in one short transaction what it holds, and
// settles in another one. What a crashed relay held is free again after Config.Lease.
// Cancel and Reschedule leave alone what a relay holds, and do not count it.
// Transactions that write should begin as such (BEGIN IMMEDIATE, as InTx and every
// transaction of Open's *sql.DB do): a transaction that has read before it writes fails at
// once with "database is locked" when somebody else has written in between.
// A handler of an inbox (Once) keeps all other writers waiting until it returns.
//
// Any number of processes on one machine may share the file. Network file systems are not
// for SQLite files in WAL mode.
package sqlite
