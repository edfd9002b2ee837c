package reload

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/parley-go/parley/service/internal/sleep"
)

// A process is a running program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has exited
	err  error         // how the process exited; read it after done is closed
}

// start runs argv in a process group of its own. Ctrl-C in the terminal must not reach the process directly: stop signals it too, and
// a second signal means an immediate exit.
func start(dir string, argv []string, stdout, stderr io.Writer) (*process, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, stderr
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() { // joined by stop
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// killTimeout is how long stop waits for processes that it has killed: one that hangs in the kernel must not hold up the next program.
const killTimeout = 5 * time.Second

// stop sends SIGTERM to the process group, and kills it after the timeout. It returns when all its processes have exited: a command such
// as "go run" or "sh -c" is only the parent of the program. They may outlive the command, so stop must be called after it has exited, too.
func (p *process) stop(ctx context.Context, timeout time.Duration) {
	_ = terminateGroup(p.cmd) // the group may have exited in the meantime
	graceful, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if p.ended(graceful) {
		return
	}
	_ = killGroup(p.cmd)
	<-p.done
	killed, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	p.ended(killed)
}

// ended waits until all processes of the group have exited. It returns false if ctx ends first.
func (p *process) ended(ctx context.Context) bool {
	select {
	case <-p.done:
	case <-ctx.Done():
		return false
	}
	for groupRuns(p.cmd) {
		if !sleep.For(ctx, 20*time.Millisecond) {
			return false
		}
	}
	return true
}

// state returns how the process exited.
func (p *process) state() string {
	if p.err == nil {
		return "exited"
	}
	return "exited: " + p.err.Error()
}

// remove deletes a binary that is no longer needed.
func remove(path string) {
	if path != "" {
		_ = os.Remove(path) // its temporary folder is removed when Run returns
	}
}
