// Package sqlite is parley's outbox, inbox and table of failed deliveries in a SQLite file, on the pure Go driver
// modernc.org/sqlite. It needs no server and no cgo.
//
//	store, err := sqlite.Open("app.db", nil)        // or New, on a *sql.DB that you have
//	err = store.Migrate(ctx)
//	outbox, err := parley.NewOutbox(store, nil)
//	err = store.InTx(ctx, func(tx *sql.Tx) error { ... outbox.In(tx) ... })
//
// SQLite has one writer at a time. So a relay never keeps a write transaction open while the broker is busy. It stores
// what it holds in one short transaction, and settles in another one. The records of a crashed relay are released
// after Config.Lease. Cancel and Reschedule do not change or count records that a relay holds. Transactions that write
// should begin as such (BEGIN IMMEDIATE, as InTx and every transaction of Open's *sql.DB do). A transaction that reads
// before it writes fails at once with "database is locked" if another connection has written in between. A handler of
// an inbox (Once) blocks all other writers until it returns. It should take less time than the lease of a claim of
// failed deliveries, which cannot be renewed meanwhile. Short transactions of the store itself have priority.
//
// Any number of processes on one machine may share the file. SQLite files in WAL mode do not work on
// network file systems.
package sqlite
