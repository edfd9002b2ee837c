package testenv

import "go.uber.org/goleak"

// PgxCloses ignores the goroutine in which pgx closes a connection whose call was cancelled. It ends by itself,
// at the latest after 15 seconds, and no stop waits for it.
func PgxCloses() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgconn.(*PgConn).asyncClose.func1")
}
