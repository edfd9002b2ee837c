package reload

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
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

// stop sends SIGTERM, and kills the process group after the timeout. It returns when the process has exited.
func (p *process) stop(ctx context.Context, timeout time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // the process may have exited in the meantime
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-p.done:
		return
	case <-t.C:
	case <-ctx.Done():
	}
	_ = killGroup(p.cmd)
	<-p.done
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
