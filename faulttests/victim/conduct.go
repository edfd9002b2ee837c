package main

import (
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// exitCode is what the program ends with when a handler calls os.Exit.
const exitCode = 7

// conduct misbehaves as the event's filling says, when the effect is in the transaction already. What was parked and is
// replayed is handled well.
func (v *victim) conduct(e *parley.Event[fact]) {
	if v.mended || e.Delivery.History().Replays > 0 {
		return
	}
	word, _, _ := strings.Cut(e.Payload.Fill, " ") // more of it only makes the body larger
	switch word {
	case "hang":
		hang()
	case "slow":
		time.Sleep(300 * time.Millisecond) // work that looks at no context
	case "panic":
		panic("planned panic")
	case "goexit":
		runtime.Goexit()
	case "exit":
		if !e.Delivery.Redelivered {
			os.Exit(exitCode)
		}
	}
}

// hang is a function of its own so that a test finds it in the dump of the stacks.
//
//go:noinline
func hang() { select {} }
