// Package shutdown turns SIGINT and SIGTERM into the end of a context.
package shutdown

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// SameRequest is how long after the first signal further signals belong to the same request. `timeout`, supervisord with stopasgroup,
// systemd and entrypoints that forward signals deliver SIGTERM twice within milliseconds.
const SameRequest = time.Second

// Context returns a copy of parent that ends at SIGINT or SIGTERM, and a function that ends the watch. A signal later than SameRequest
// after the first one exits the process with code 1. After the watch, signals of the same request are still ignored: one that
// arrives while the process closes its connections must not kill it.
func Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	w := &watch{cancel: cancel, exit: os.Exit, out: os.Stderr}
	end := w.start(signals, func() { signal.Stop(signals) })
	return ctx, func() { end(); cancel() }
}

// A watch ends a context at the first signal, and the process at a later one.
type watch struct {
	cancel context.CancelFunc
	exit   func(code int)
	out    io.Writer
	first  time.Time // of the first signal; zero before
}

// start handles signals until the returned function is called. That function calls restore, later if a request has just come.
func (w *watch) start(signals <-chan os.Signal, restore func()) (end func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() { // joined by end
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case s := <-signals:
				w.got(s)
			}
		}
	}()
	ended := false
	return func() {
		if ended {
			return
		}
		ended = true
		close(quit)
		<-done
		if rest := SameRequest - time.Since(w.first); !w.first.IsZero() && rest > 0 {
			time.AfterFunc(rest, restore)
			return
		}
		restore()
	}
}

// got handles one signal.
func (w *watch) got(s os.Signal) {
	switch {
	case w.first.IsZero():
		w.first = time.Now()
		w.cancel()
	case time.Since(w.first) > SameRequest:
		fmt.Fprintf(w.out, "parley: second signal (%v), exiting immediately\n", s)
		w.exit(1)
	}
}
