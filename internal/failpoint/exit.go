//go:build faults

package failpoint

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// leakCode is the exit code of a program that has left goroutines behind.
const leakCode = 70

// Exit ends the process. If all is well so far, a goroutine that was left behind turns the exit code into a
// failure: a stop that is called clean has to join everything.
func Exit(code int) {
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "failpoint: left behind:", err)
			code = leakCode
		}
	}
	os.Exit(code)
}
