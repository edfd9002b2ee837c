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

// A process is one run of the service.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // why it ended; read it after done
}

// start runs argv in a process group of its own: Ctrl-C in the terminal must reach it once,
// from us, for a second signal means "stop at once".
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

// stop asks the process to end, and ends it after the grace. It returns when it has ended.
func (p *process) stop(ctx context.Context, grace time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended in the meantime
	t := time.NewTimer(grace)
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

// state says how a process has ended.
func (p *process) state() string {
	if p.err == nil {
		return "ended"
	}
	return "ended: " + p.err.Error()
}

// remove deletes a binary that is not needed any more.
func remove(path string) {
	if path != "" {
		_ = os.Remove(path) // it is in a temporary folder, which is removed in the end
	}
}
