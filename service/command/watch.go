package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/internal/sleep"
	"github.com/parley-go/parley/service/internal/terminal"
)

// watchFlags are the flags of commands that can repeat their output.
type watchFlags struct {
	on       bool
	interval time.Duration
}

const shortestWatch = 100 * time.Millisecond

func (w *watchFlags) add(c *cobra.Command) {
	c.Flags().BoolVarP(&w.on, "watch", "w", false, "repeat until interrupted")
	c.Flags().DurationVar(&w.interval, "interval", 2*time.Second, "time between two outputs of --watch, at least 100ms")
}

func (w *watchFlags) check(cmd *cobra.Command) error {
	switch {
	case w.interval < shortestWatch:
		return usage(cmd, errors.New("--interval must be at least 100ms"))
	case cmd.Flags().Changed("interval") && !w.on:
		return usage(cmd, errors.New("--interval requires --watch"))
	}
	return nil
}

// clearScreen moves the cursor to the top and clears the screen and what was scrolled out of it.
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// run calls show once, or repeatedly with --watch. On a terminal each output replaces the one before, unless structured: then a
// program reads it. An error in a repeated output is printed, and the command goes on.
func (w *watchFlags) run(ctx context.Context, cmd *cobra.Command, structured bool, show func(ctx context.Context, out io.Writer) error) error {
	out := cmd.OutOrStdout()
	if !w.on {
		return show(ctx, out)
	}
	screen := !structured && terminal.Is(out)
	for {
		if screen {
			if err := w.redraw(ctx, cmd, out, show); err != nil {
				return err
			}
		} else if err := show(ctx, out); err != nil && ctx.Err() == nil {
			report(cmd.ErrOrStderr(), "error: %v", err)
		}
		if !sleep.For(ctx, w.interval) {
			return nil
		}
		if !structured && !screen {
			report(out, "")
		}
	}
}

// redraw collects one output, so that the screen does not flicker while servers answer.
func (w *watchFlags) redraw(ctx context.Context, cmd *cobra.Command, out io.Writer, show func(ctx context.Context, out io.Writer) error) error {
	frame := &frame{like: out}
	err := show(ctx, frame)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		fmt.Fprintf(frame, "error: %v\n", err)
	}
	_, err = fmt.Fprintf(out, "%severy %v: %s\n\n%s", clearScreen, w.interval, cmd.CommandPath(), frame.String())
	return err
}

// A frame is the content of a screen.
type frame struct {
	bytes.Buffer
	like io.Writer
}

// Terminal returns the output that the frame is shown on, for the choice of colours.
func (f *frame) Terminal() any { return f.like }
