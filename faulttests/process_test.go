package faulttests_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Words that a child says on its standard output.
const (
	upWord     = "up"
	struckWord = "struck"
)

// A process is the test binary in another role.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser // its end tells the child that its parent is gone
	up     chan struct{}  // closed when it works
	struck atomic.Bool    // its point was reached
	ended  chan struct{}  // closed when it has ended and everything is read

	mu   sync.Mutex // guards the field below
	said bytes.Buffer
}

// spawn starts a child. It is killed when the test ends.
func spawn(t *testing.T, s childSpec) *process {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(os.Args[0]), up: make(chan struct{}), ended: make(chan struct{})}
	// The race detector would have each child sleep for a second at its end.
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = p
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go p.follow(stdout)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("%s %d said:\n%s", s.Role, p.cmd.Process.Pid, p.words())
		}
	})
	return p
}

// follow reads what the child says until it ends.
func (p *process) follow(stdout io.Reader) {
	defer close(p.ended)
	var up sync.Once
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		switch lines.Text() {
		case upWord:
			up.Do(func() { close(p.up) })
		case struckWord:
			p.struck.Store(true)
		}
	}
	_ = p.cmd.Wait() // its state tells how it ended
}

// Write keeps what the child logs.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said.Len() < 64<<10 {
		p.said.Write(b)
	}
	return len(b), nil
}

func (p *process) words() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func (p *process) wait(c <-chan struct{}, what string) {
	p.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		p.t.Fatalf("after %v still not: %s; the child said:\n%s", patience, what, p.words())
	}
}

// works waits until the child works.
func (p *process) works() {
	p.t.Helper()
	select {
	case <-p.up:
	case <-p.ended: // it may have struck at its first point
	case <-time.After(patience):
		p.t.Fatalf("after %v the child does not work; it said:\n%s", patience, p.words())
	}
}

// kill sends SIGKILL and proves that it was felt.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("kill the child: %v; it said:\n%s", err, p.words())
	}
	p.diedOf(syscall.SIGKILL)
}

// diedAt waits until the child has killed itself at its point.
func (p *process) diedAt(at point) {
	p.t.Helper()
	p.wait(p.ended, "the child dies "+string(at))
	p.diedOf(syscall.SIGKILL)
	if !p.struck.Load() {
		p.t.Fatalf("the child died, but not %s", at)
	}
}

func (p *process) diedOf(want syscall.Signal) {
	p.t.Helper()
	p.wait(p.ended, "the child ends")
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != want {
		p.t.Fatalf("the child ended with %v, want %v; it said:\n%s", p.cmd.ProcessState, want, p.words())
	}
}

// stop asks the child to end and wants it to end well, without a data race for one.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.wait(p.ended, "the child stops")
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("the child ended with %v; it said:\n%s", p.cmd.ProcessState, p.words())
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// frozen tells that the child is stopped by a signal, as the kernel says.
func (p *process) frozen() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(after, "T")
}
