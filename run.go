package parley

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-go/parley/internal/shutdown"
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

// Run runs all runners until one returns, ctx ends, or the process gets SIGINT or SIGTERM. Then it stops the others gracefully and
// returns when all have ended, with their errors joined. Signals within one second of the first are the same request, because
// supervisors often send two. A later signal exits the process immediately, with exit code 1.
func Run(ctx context.Context, runners ...Runner) error {
	ctx, end := shutdown.Context(ctx)
	defer end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	errs := make([]error, len(runners))
	for i, r := range runners {
		running.Go(func() {
			defer cancel() // the end of one runner stops the others
			errs[i] = r.Run(ctx)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
