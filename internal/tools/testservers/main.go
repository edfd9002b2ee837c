// Command testservers finds the servers that the tests need, or starts them, and then
// runs a command with their addresses in its environment:
//
//	testservers run -- go test ./...   find or start, run, sum up
//	testservers start                  find or start
//	testservers stop                   stop what an earlier call started itself
//	testservers status                 say what is there
//
// For each server it takes, in this order: the one that the environment names; the
// one on the usual port of 127.0.0.1; one of its own from an earlier call; Docker
// Compose, where an engine runs; one of its own, from the programs installed here or,
// for root on Debian and its kin, installed now. Its own servers keep their data in a
// directory apart and never touch the configuration or data of the machine's. They
// stay up for the next call, until "testservers stop".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// startTimeout bounds finding and starting, packages and images included.
const startTimeout = 10 * time.Minute

const usage = `usage: testservers run -- command [argument ...]
       testservers start | stop | status`

func main() {
	// An interrupt reaches the command we run as well: it ends, we sum up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run returns the exit code.
func run(ctx context.Context, args []string) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var err error
	switch {
	case verb == "run" && len(args) > 2 && args[1] == "--":
		return runCommand(ctx, args[2:])
	case verb == "start" && len(args) == 1:
		var found []located
		if found, err = provide(ctx); err == nil {
			printLocated(found)
		}
	case verb == "stop" && len(args) == 1:
		err = stopPrivate()
	case verb == "status" && len(args) == 1:
		err = status(ctx)
	default:
		fmt.Fprintln(os.Stderr, usage)
		return 2
	}
	return exitCode(err)
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "testservers:", err)
	return 1
}

// runCommand runs the command among the servers and sums up. The exit code is the
// command's own.
func runCommand(ctx context.Context, command []string) int {
	if err := provideCompiler(ctx); err != nil {
		return exitCode(err)
	}
	found, err := provide(ctx)
	if err != nil {
		return exitCode(err)
	}
	ledger, err := os.CreateTemp("", "parley-ledger-*")
	if err != nil {
		return exitCode(err)
	}
	defer os.Remove(ledger.Name())
	if err := ledger.Close(); err != nil {
		return exitCode(err)
	}
	printLocated(found)

	began := time.Now()
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it gets the terminal's signals itself, and its tests clean up on them
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), testenv.LedgerVariable+"="+ledger.Name())
	for _, l := range found {
		cmd.Env = append(cmd.Env, l.Server.Variable+"="+l.Address)
	}
	err = cmd.Run()
	text, readErr := os.ReadFile(ledger.Name())
	fmt.Print(summary(found, testenv.ParseLedger(string(text)), strings.Join(command, " "), time.Since(began), err))
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(1, e.ExitCode()) // -1: ended by a signal
	}
	return exitCode(errors.Join(err, readErr))
}

func status(ctx context.Context) error {
	var errs []error
	for _, s := range testenv.Servers() {
		l, err := find(ctx, s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		printLocated([]located{l})
	}
	return errors.Join(errs...)
}
