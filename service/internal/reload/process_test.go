//go:build unix

package reload

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// child is the text of a program for sh that ends gracefully. It notes in a file that it has begun and ended.
const child = `trap 'sleep 0.3; echo ended >> LOG; exit' TERM; echo begun >> LOG; while :; do sleep 0.05; done`

// wrapped writes a program for sh, and returns its path and that of the file with its notes.
func wrapped(t *testing.T, text string) (script, log string) {
	t.Helper()
	dir := t.TempDir()
	script, log = filepath.Join(dir, "child"), filepath.Join(dir, "log")
	write(t, script, strings.ReplaceAll(text, "LOG", "'"+log+"'"))
	write(t, log, "")
	return script, log
}

// awaitNote blocks until a file contains text.
func awaitNote(t *testing.T, file, text string) {
	t.Helper()
	for late := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		got, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(got), text) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%q did not appear in %v: %q (%v)", text, patience, got, err)
		}
	}
}

// startWrapped starts a program as the child of a shell, which SIGTERM ends at once.
func startWrapped(t *testing.T, text string) (p *process, log string) {
	t.Helper()
	script, log := wrapped(t, text)
	out := newOutput()
	p, err := start(".", []string{"sh", "-c", "sh '" + script + "' & wait"}, out, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = killGroup(p.cmd) })
	awaitNote(t, log, "begun")
	return p, log
}

func TestARestartEndsTheProgramsThatTheCommandHasStarted(t *testing.T) {
	p, log := startWrapped(t, child)
	p.stop(t.Context(), patience)
	if got, err := os.ReadFile(log); err != nil || !strings.Contains(string(got), "ended") {
		t.Errorf("the program of the command has not ended when stop returns: %q (%v)", got, err)
	}
}

func TestAProgramOfACommandThatIgnoresTheSignalIsKilled(t *testing.T) {
	p, _ := startWrapped(t, `trap '' TERM; echo begun >> LOG; while :; do sleep 0.05; done`)
	p.stop(t.Context(), 100*time.Millisecond)
	if groupRuns(p.cmd) {
		t.Error("the program still runs")
	}
}

func TestAProgramThatACommandLeavesBehindIsEnded(t *testing.T) {
	script, log := wrapped(t, child)
	out := newOutput()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		command := "sh '" + script + "' > '" + log + ".out' 2>&1 & until grep begun '" + log + "'; do sleep 0.05; done"
		done <- Run(ctx, Config{Dir: filepath.Dir(script), Command: []string{"sh", "-c", command}, Stdout: out, Stderr: out})
	}()
	out.await(t, "program exited, waiting for a change", 1)
	awaitNote(t, log, "ended")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
