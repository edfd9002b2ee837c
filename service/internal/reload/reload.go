// Package reload runs a program during development. It rebuilds the program when its sources change, and restarts it when the build
// succeeds.
package reload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A Config describes the program to build and run, and the folder to watch.
type Config struct {
	// Dir is the working directory of build and program. Default: the working directory of this process.
	Dir string
	// Watch is the folder to watch, including its subfolders. Default: Dir.
	Watch string
	// Exclude has patterns of files and folders whose changes do not matter, as of filepath.Match: they are compared with the path from
	// Watch and with each name in it. Files that git ignores do not matter either.
	Exclude []string
	// Package is the main package to build, such as ./cmd/shop. If it is empty, Command runs without a build.
	Package string
	// BuildFlags are flags of go build.
	BuildFlags []string
	// Command is the command to run. With a Package, it holds only the arguments of the binary.
	Command []string
	// ShutdownTimeout is how long the old process may take to exit. Default: 30s.
	ShutdownTimeout time.Duration
	// Settled is how long files must stay unchanged before a build. Default: 150ms.
	Settled time.Duration
	// Stdout and Stderr are the outputs of the program. Reload messages go to Stderr. Defaults: those of this process.
	Stdout, Stderr io.Writer
}

func (c *Config) complete() error {
	if c.Package == "" && len(c.Command) == 0 {
		return errors.New("there is no command to run")
	}
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.Watch == "" {
		c.Watch = c.Dir
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 30 * time.Second
	}
	if c.Settled == 0 {
		c.Settled = 150 * time.Millisecond
	}
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	return nil
}

// Run builds and runs the program until ctx ends. Then it stops the program gracefully and returns nil. If a build fails, its output
// is shown and the old process keeps running.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.complete(); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "parley-dev-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	w, err := newWatcher(cfg.Watch, cfg.Settled, cfg.Exclude...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	r := &reloader{cfg: cfg, tmp: tmp}
	defer func() { r.stop(context.WithoutCancel(ctx)) }()
	return r.loop(ctx, w)
}

type reloader struct {
	cfg    Config
	tmp    string
	builds int
	binary string // of the running process
	live   *process
}

func (r *reloader) loop(ctx context.Context, w *watcher) error {
	for {
		r.reload(ctx)
		if err := r.change(ctx, w); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// change waits for a change of the sources. It reports a program that exits before that.
func (r *reloader) change(ctx context.Context, w *watcher) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan error, 1)
	go func() { changed <- w.wait(waiting) }() // joined below
	if r.live != nil {
		select {
		case err := <-changed:
			return err
		case <-r.live.done:
			r.report("program %s, waiting for a change", r.live.state())
			r.stop(ctx) // what the command has left behind
		}
	}
	return <-changed
}

// reload builds the program and, if the build succeeds, replaces the process.
func (r *reloader) reload(ctx context.Context) {
	argv, binary, err := r.build(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		state := ""
		if r.live != nil {
			state = ", old program still running"
		}
		r.report("build failed%s:\n%v", state, err)
		return
	}
	r.stop(ctx)
	p, err := start(r.cfg.Dir, argv, r.cfg.Stdout, r.cfg.Stderr)
	if err != nil {
		remove(binary)
		r.report("%v", err)
		return
	}
	r.live, r.binary = p, binary
	r.report("program started (build %d)", r.builds)
}

// build builds the program and returns the command to run. The error of a failed build contains the compiler's output.
func (r *reloader) build(ctx context.Context) (argv []string, binary string, err error) {
	r.builds++
	if r.cfg.Package == "" {
		return r.cfg.Command, "", nil
	}
	binary = filepath.Join(r.tmp, "program-"+strconv.Itoa(r.builds))
	args := append([]string{"build"}, r.cfg.BuildFlags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", binary, r.cfg.Package)...)
	cmd.Dir = r.cfg.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		remove(binary)
		return nil, "", fmt.Errorf("%s%w", out, err)
	}
	return append([]string{binary}, r.cfg.Command...), binary, nil
}

// stop stops the program if it is running, with all processes that it has started.
func (r *reloader) stop(ctx context.Context) {
	if r.live != nil {
		r.live.stop(ctx, r.cfg.ShutdownTimeout)
		r.live = nil
	}
	remove(r.binary)
	r.binary = ""
}

// report prints what reload does.
func (r *reloader) report(format string, args ...any) {
	fmt.Fprintf(r.cfg.Stderr, "dev: "+format+"\n", args...)
}
