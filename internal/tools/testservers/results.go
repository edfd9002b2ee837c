//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// resultLines passes on the output of go test, and records the packages with a result.
type resultLines struct {
	out  io.Writer
	rest []byte // of a line that has not ended

	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// progressInterval is the pause between two lines of progress.
const progressInterval = 30 * time.Second

// progress reports how many packages have a result, until the returned function is called: a package may take minutes, and go test
// prints nothing meanwhile. all means that the command tests all packages of the workspace.
func (r *resultLines) progress(ctx context.Context, w io.Writer, all bool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		total := ""
		if all {
			if out, err := exec.CommandContext(ctx, "go", "list", "work").Output(); err == nil {
				total = fmt.Sprintf(" of %d", len(strings.Fields(string(out))))
			}
		}
		began := time.Now()
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				fmt.Fprintf(w, "testservers: %d%s packages done after %v\n", r.done(), total, time.Since(began).Round(time.Second))
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// done returns how many packages have a result.
func (r *resultLines) done() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *resultLines) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, ended := bytes.Cut(r.rest, []byte("\n"))
		if !ended {
			break
		}
		r.note(string(line))
		r.rest = rest
	}
	return r.out.Write(p)
}

// note reads lines such as "ok  \tpackage\t1.2s", "FAIL\tpackage\t1.2s" and "?   \tpackage\t[no test files]".
func (r *resultLines) note(line string) {
	result, rest, ok := strings.Cut(line, "\t")
	switch strings.TrimSpace(result) {
	case "ok", "FAIL", "?", "":
	default:
		return
	}
	if !ok {
		return
	}
	pkg, _, _ := strings.Cut(rest, "\t")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[strings.TrimSpace(pkg)] = true
}

// missing returns an error if packages of the workspace have no result, so that their tests were not run.
func (r *resultLines) missing(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "work").Output()
	if err != nil {
		return fmt.Errorf("list the packages of the workspace: %w", err)
	}
	return r.missingOf(strings.Fields(string(out)))
}

func (r *resultLines) missingOf(packages []string) error {
	var missing []string
	for _, pkg := range packages {
		if !r.seen[pkg] {
			missing = append(missing, pkg)
		}
	}
	if len(packages) == 0 || len(missing) > 0 {
		return fmt.Errorf("the tests of %d of %d packages were not run: %s", len(missing), len(packages), strings.Join(missing, ", "))
	}
	return nil
}
