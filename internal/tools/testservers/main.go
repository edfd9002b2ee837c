//go:build unix

// Command testservers finds the servers that the tests need, or starts them, and then
// runs a command with their addresses in its environment:
//
//	testservers run -- go test ./...   find or start the servers, run the command, print a summary
//	testservers start                  find or start the servers
//	testservers stop                   stop the servers that an earlier call started
//	testservers status                 list the servers
//
// For each server it tries in this order: the address in the environment; the usual port
// on 127.0.0.1; a server that an earlier call started; Docker Compose, if an engine runs;
// a server started from installed programs. As root on Debian or a derivative it installs
// missing programs, in CI or with PARLEY_TEST_INSTALL=1. Without a server the command runs too, and its tests skip what needs
// the server. The servers that it starts keep their data in a separate directory and
// never touch the configuration or data of the machine's own servers. They run until
// "testservers stop".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// startTimeout bounds finding and starting the servers, with the download of packages and images.
const startTimeout = 10 * time.Minute

const usage = `usage: testservers run -- command [argument ...]
       testservers start | stop | status`

func main() {
	// An interrupt reaches the command too: it ends, and the summary is printed.
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

// runCommand runs the command with the addresses of the servers and prints a summary. It
// returns the exit code of the command.
func runCommand(ctx context.Context, command []string) int {
	if err := provideCompiler(ctx); err != nil {
		return exitCode(err)
	}
	if err := provideBrowser(ctx); err != nil {
		return exitCode(err)
	}
	found, err := provide(ctx)
	if _, some := errors.AsType[*unavailableError](err); some && os.Getenv(testenv.AllVariable) != "1" {
		fmt.Fprintln(os.Stderr, "testservers:", err)
		fmt.Fprintln(os.Stderr, "testservers: tests that need a missing server are skipped")
	} else if err != nil {
		return exitCode(err)
	}
	providePromtool(ctx)
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
	results := &resultLines{out: os.Stdout}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, results, os.Stderr
	cmd.Env = append(os.Environ(), testenv.LedgerVariable+"="+ledger.Name())
	for _, l := range found {
		cmd.Env = append(cmd.Env, l.Server.Variable+"="+l.Address)
	}
	stop := results.progress(ctx, os.Stderr, slices.Contains(command, "work"))
	err = cmd.Run()
	stop()
	if err == nil && slices.Contains(command, "work") {
		err = results.missing(ctx)
	}
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
