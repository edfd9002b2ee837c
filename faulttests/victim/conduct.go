package main

import (
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// exitCode is the exit code of the program when a handler calls os.Exit.
const exitCode = 7

// conduct misbehaves as the event's filling requests, after the effect was written in the transaction. A replayed event is
// handled normally.
func (v *victim) conduct(e *parley.Event[fact]) {
	if v.fixed || e.Delivery.History().Replays > 0 {
		return
	}
	word, _, _ := strings.Cut(e.Payload.Fill, " ") // the rest only makes the body larger
	switch word {
	case "hang":
		hang()
	case "slow":
		time.Sleep(300 * time.Millisecond) // work that ignores its context
	case "panic":
		panic("planned panic")
	case "goexit":
		runtime.Goexit()
	case "exit":
		if !e.Delivery.Redelivered {
			os.Exit(exitCode)
		}
	case "die":
		os.Exit(exitCode)
	}
}

// hang is a function of its own, so that a test finds it in the stack dump.
//
//go:noinline
func hang() { select {} }
