//go:build faults

package failpoint

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// leakCode is the exit code of a program that has left goroutines behind.
const leakCode = 70

// pgxCloses ignores the goroutine in which pgx closes such a connection.
var pgxCloses = goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgconn.(*PgConn).asyncClose.func1")

// Exit ends the process. If all is well so far, a goroutine that was left behind turns the exit code into a
// failure: a stop that is called clean has to join everything. Only pgx may still be closing connections whose
// calls were cancelled: it does so on its own, for at most 15 seconds.
func Exit(code int) {
	if code == 0 {
		if err := goleak.Find(pgxCloses); err != nil {
			fmt.Fprintln(os.Stderr, "failpoint: left behind:", err)
			code = leakCode
		}
	}
	os.Exit(code)
}
