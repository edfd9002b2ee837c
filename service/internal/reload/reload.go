// Package reload runs a program while somebody works on it: it rebuilds it when its
// sources change, and restarts it when the build passes.
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

// A Config says what to build, run and watch.
type Config struct {
	// Dir is the folder to build and to run in. Default: the working directory.
	Dir string
	// Watch is the folder to watch, with those below. Default: Dir.
	Watch string
	// Package is the main package to build, such as ./cmd/shop. Empty: Command is run as it is.
	Package string
	// BuildFlags are for go build.
	BuildFlags []string
	// Command is what to run; with a Package, the arguments of its binary.
	Command []string
	// Grace is how long the old process may take to end. Default: 30s.
	Grace time.Duration
	// Settled is how long no file may have changed before a build. Default: 150ms.
	Settled time.Duration
	// Stdout and Stderr are for the program; what happens is told on Stderr. Defaults: those of this process.
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
	if c.Grace == 0 {
		c.Grace = 30 * time.Second
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

// Run builds and runs the program until ctx ends, then ends it cleanly and returns nil. A
// build that fails is shown, and the old process goes on.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.complete(); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "parley-dev-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	w, err := newWatcher(cfg.Watch, cfg.Settled)
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

// change waits for a change of the sources; meanwhile it tells when the program ends by itself.
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
			r.tell("the program has %s; waiting for a change", r.live.state())
			r.live = nil
		}
	}
	return <-changed
}

// reload builds, and if that passes replaces the process.
func (r *reloader) reload(ctx context.Context) {
	argv, binary, err := r.build(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		goesOn := ""
		if r.live != nil {
			goesOn = "; the old program goes on"
		}
		r.tell("the build failed%s:\n%v", goesOn, err)
		return
	}
	r.stop(ctx)
	p, err := start(r.cfg.Dir, argv, r.cfg.Stdout, r.cfg.Stderr)
	if err != nil {
		remove(binary)
		r.tell("%v", err)
		return
	}
	r.live, r.binary = p, binary
	r.tell("the program runs (build %d)", r.builds)
}

// build returns what to run. The error of a failed build is the compiler's output.
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

// stop ends the program, if it runs.
func (r *reloader) stop(ctx context.Context) {
	if r.live != nil {
		r.live.stop(ctx, r.cfg.Grace)
		r.live = nil
	}
	remove(r.binary)
	r.binary = ""
}

func (r *reloader) tell(format string, args ...any) {
	fmt.Fprintf(r.cfg.Stderr, "dev: "+format+"\n", args...)
}
