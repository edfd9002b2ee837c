//go:build unix

package faulttests_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a child that was started.
type process struct {
	t       *testing.T
	role    string
	cmd     *exec.Cmd
	secrets []string
	signs   []string      // log messages after which it is ready
	up      chan struct{} // closed when it is ready
	ended   chan struct{} // closed when it has ended and everything is read

	mu     sync.Mutex // guards the fields below
	said   bytes.Buffer
	line   []byte         // incomplete line
	struck []string       // the faults of its failpoints
	logged map[string]int // how often it logged a message
	warned int            // how often it logged a warning or an error
	broken []string       // forbidden output
}

// lastWords is how many bytes of a child's output a failed test shows.
const lastWords = 8 << 10

// spawn starts a child. It is killed when the test ends.
func spawn(t *testing.T, s childSpec) *process {
	t.Helper()
	p := &process{
		t: t, role: s.Role, cmd: s.command(t), secrets: s.secrets(), signs: strings.Split(roles[s.Role].works, "|"),
		up: make(chan struct{}), ended: make(chan struct{}), logged: map[string]int{},
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = orphan()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its state has the result
		_, _ = p.Write([]byte("\n"))
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // the process may have ended
		<-p.ended
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range p.broken {
			t.Errorf("%s %d: %s", p.role, p.cmd.Process.Pid, line)
		}
		if asPlanned := len(p.struck) > 0 && p.warned == 0; t.Failed() && !asPlanned {
			t.Logf("the last output of %s %d:\n%s", p.role, p.cmd.Process.Pid, p.said.Bytes()[max(0, p.said.Len()-lastWords):])
		}
	})
	return p
}

// Write parses the child's output line by line.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said.Len() < 1<<20 {
		p.said.Write(b)
	}
	p.line = append(p.line, b...)
	for {
		line, rest, found := bytes.Cut(p.line, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.read(string(line))
		p.line = append(p.line[:0], rest...)
	}
}

var logMessage = regexp.MustCompile(`^time=\S+ level=(\S+) msg=("([^"\\]|\\.)*"|\S+)`)

// read parses one line; mu is held.
func (p *process) read(line string) {
	if fault, ok := strings.CutPrefix(line, "failpoint: "); ok {
		p.struck = append(p.struck, fault)
	}
	if strings.HasPrefix(line, "WARNING: DATA RACE") {
		p.broken = append(p.broken, "has a data race")
	}
	for _, secret := range p.secrets {
		if strings.Contains(line, secret) {
			p.broken = append(p.broken, "shows a password: "+line)
		}
	}
	m := logMessage.FindStringSubmatch(line)
	if m == nil {
		return
	}
	message := strings.Trim(m[2], `"`)
	if m[1] == "WARN" || m[1] == "ERROR" {
		p.warned++
	}
	p.logged[message]++
	for _, w := range p.signs {
		if message == w {
			p.nowUp()
		}
	}
}

// nowUp is called with mu held.
func (p *process) nowUp() {
	select {
	case <-p.up:
	default:
		close(p.up)
	}
}

func (p *process) words() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// heard counts how often the child has logged a message so far.
func (p *process) heard(message string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logged[message]
}

// complaints counts the warnings and errors that the child has logged so far.
func (p *process) complaints() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.warned
}

// hit reports whether the child's failpoint at a place has been triggered.
func (p *process) hit(at point) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fault := range p.struck {
		if strings.Contains(fault, " at "+string(at)+",") {
			return true
		}
	}
	return false
}

func (p *process) wait(c <-chan struct{}, what string) {
	p.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		p.t.Fatalf("timed out after %v: %s; output of the child:\n%s", patience, what, p.words())
	}
}

// works waits until the child is ready.
func (p *process) works() {
	p.t.Helper()
	select {
	case <-p.up:
	case <-p.ended: // it may have died at its first failpoint
	case <-time.After(patience):
		p.t.Fatalf("the child is not ready after %v; its output:\n%s", patience, p.words())
	}
}

// kill sends SIGKILL and checks that the signal ended the child.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("kill the child: %v; its output:\n%s", err, p.words())
	}
	p.diedOf(syscall.SIGKILL)
}

// diedAt waits until the child has killed itself at its failpoint.
func (p *process) diedAt(at point) {
	p.t.Helper()
	p.wait(p.ended, "the child dies at "+string(at))
	p.diedOf(syscall.SIGKILL)
	if !p.hit(at) {
		p.t.Fatalf("the child died, but not at %s", at)
	}
}

func (p *process) diedOf(want syscall.Signal) {
	p.t.Helper()
	p.wait(p.ended, "the child ends")
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != want {
		p.t.Fatalf("the child ended with %v, want %v; its output:\n%s", p.cmd.ProcessState, want, p.words())
	}
}

// stop sends SIGTERM to the child and fails the test unless it exits cleanly, without data races and leaked goroutines.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.wait(p.ended, "the child stops")
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("the child ended with %v; its output:\n%s", p.cmd.ProcessState, p.words())
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// frozen reports whether the kernel shows the child as stopped by a signal.
func (p *process) frozen() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(after, "T")
}
