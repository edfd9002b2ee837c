package parley

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// A Runner is a long-lived part of a process: Relay, Consumer, Caller and Inbox are. Run blocks until
// ctx ends and then finishes its work in hand. When it returns it has joined every goroutine
// it started. It returns nil after a clean stop.
type Runner interface {
	Run(ctx context.Context) error
}

// RunnerFunc adapts a function to a Runner.
type RunnerFunc func(ctx context.Context) error

// Run calls f.
func (f RunnerFunc) Run(ctx context.Context) error { return f(ctx) }

// Run runs all runners until one returns, ctx ends, or the process gets SIGINT or
// SIGTERM. Then it stops the others gracefully and returns when all have ended,
// with their errors joined. A second signal ends the process at once, with exit code 1.
func Run(ctx context.Context, runners ...Runner) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	var running, watching sync.WaitGroup
	errs := make([]error, len(runners))
	for i, r := range runners {
		running.Go(func() {
			defer cancel() // the end of one runner stops the others
			errs[i] = r.Run(ctx)
		})
	}
	done := make(chan struct{})
	watching.Go(func() { watchSignals(signals, done, cancel) })
	running.Wait()
	close(done)
	watching.Wait()
	return errors.Join(errs...)
}

func watchSignals(signals <-chan os.Signal, done <-chan struct{}, stop func()) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case s := <-signals:
			if n > 0 {
				fmt.Fprintf(os.Stderr, "parley: second %v: stopping at once\n", s)
				os.Exit(1)
			}
			stop()
		}
	}
}
