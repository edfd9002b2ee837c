package command

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

// A screen is a terminal, and everything that was written to it.
type screen struct {
	terminal, keyboard *os.File
	mu                 sync.Mutex // guards the field below
	text               bytes.Buffer
	keys               string // what the operator answers to the question
	asked              func() // called before the answer; may be nil
	done               chan struct{}
}

// openScreen opens a pseudo terminal.
func openScreen(t *testing.T) *screen {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number, lock uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &lock} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, control.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{terminal: terminal, keyboard: control, done: make(chan struct{})}
	go func() { // joined by close
		defer close(s.done)
		buffer := make([]byte, 4096)
		for {
			n, err := control.Read(buffer)
			s.mu.Lock()
			s.text.Write(buffer[:n])
			keys := ""
			if strings.HasSuffix(s.text.String(), "[y/N] ") {
				keys, s.keys = s.keys, ""
			}
			s.mu.Unlock()
			if keys != "" && s.asked != nil {
				s.asked()
			}
			if err != nil {
				return // the terminal is closed
			}
			if _, err := control.WriteString(keys); err != nil {
				t.Error(err)
			}
		}
	}()
	return s
}

// call runs a command at the terminal, with the keys that the operator answers with, and returns what the screen shows.
func (s *screen) call(t *testing.T, keys string, args ...string) (code int, shown string) {
	t.Helper()
	return s.callRoot(t, NewOperator("parley", "for a test"), keys, args...)
}

func (s *screen) callRoot(t *testing.T, root *cobra.Command, keys string, args ...string) (code int, shown string) {
	t.Helper()
	s.mu.Lock()
	s.keys = keys
	s.mu.Unlock()
	root.SetIn(s.terminal)
	root.SetOut(s.terminal)
	root.SetErr(s.terminal)
	code = Execute(t.Context(), root, args)
	return code, s.close(t)
}

// close closes the terminal, and returns what the screen shows.
func (s *screen) close(t *testing.T) string {
	t.Helper()
	if err := s.terminal.Close(); err != nil {
		t.Error(err)
	}
	<-s.done
	if err := s.keyboard.Close(); err != nil {
		t.Error(err)
	}
	return s.text.String()
}

// shows returns an error unless the screen shows a text.
func (s *screen) shows(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(s.text.String(), text) {
		return fmt.Errorf("the screen shows %q", &s.text)
	}
	return nil
}

// press types keys.
func (s *screen) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.keyboard.WriteString(keys); err != nil {
		t.Error(err)
	}
}

func TestOnATerminalDropAsksFirst(t *testing.T) {
	flag := sqliteURL(t)
	ids := keep(t, openFlag(t, flag), "orders", parkedRow, parkedRow)
	for keys, want := range map[string]string{"n\n": "nothing dropped", "\n": "nothing dropped", "what\n": "nothing dropped"} {
		code, shown := openScreen(t).call(t, keys, "parked", "drop", "--all", flag)
		if code != ExitFailed {
			t.Errorf("exit code %d after %q", code, keys)
		}
		wantText(t, shown, "drop 2 messages? [y/N]", want)
	}
	code, shown := openScreen(t).call(t, "y\n", "parked", "drop", ids[0], flag)
	if code != ExitOK {
		t.Errorf("exit code %d after yes", code)
	}
	wantText(t, shown, "drop 1 message? [y/N]", "dropped 1")
}

func TestDropDeletesOnlyTheMessagesThatTheQuestionCounted(t *testing.T) {
	const group = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct{ selected, question string }{
		{"--all", "drop 2 messages? [y/N]"},
		{"--reason=gave", "drop 2 messages? [y/N]"},
		{"--group=0123", "drop 2 messages of group " + group + "? [y/N]"},
	} {
		t.Run(c.selected, func(t *testing.T) {
			flag := sqliteURL(t)
			s := openFlag(t, flag)
			parked := kept{state: parley.FailureParked, group: group}
			keep(t, s, "orders", kept{state: parley.FailureWaiting, group: group}, parked, parked)
			on := openScreen(t)
			on.asked = func() { // a waiting delivery with a smaller id is parked, and a new one
				row := claimOne(t, s, "orders")
				out := parley.FailureOutcome{Action: parley.FailurePark, History: row.History, Fingerprint: group}
				if err := s.Database().Failures().Settle(t.Context(), row.FailureClaim, out); err != nil {
					t.Error(err)
				}
				keep(t, s, "orders", parked)
			}
			code, shown := on.call(t, "y\n", "parked", "drop", c.selected, flag)
			if code != ExitOK {
				t.Errorf("exit code %d", code)
			}
			wantText(t, shown, c.question, "dropped 2")
			if st, err := s.Database().Failures().Stats(t.Context(), "orders"); err != nil || st.Parked != 2 {
				t.Errorf("%d parked deliveries are left (%v), want the two that the question has not counted", st.Parked, err)
			}
		})
	}
}

func TestOnATerminalEditShowsTheChangeInColourAndAsks(t *testing.T) {
	flag := sqliteURL(t)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	t.Setenv("EDITOR", `sed -i 's/"id": 1/"id": 2/'`)
	id := keep(t, openFlag(t, flag), "orders", kept{state: parley.FailureParked, kind: parley.KindEvent})[0]
	code, shown := openScreen(t).call(t, "n\n", "parked", "edit", id, flag)
	if code != ExitFailed {
		t.Errorf("exit code %d after no", code)
	}
	wantText(t, shown, "\x1b[31m-   \"id\": 1", "\x1b[32m+   \"id\": 2", "store this change of "+id+"? [y/N]", "nothing changed")
	t.Setenv("NO_COLOR", "1")
	code, shown = openScreen(t).call(t, "y\n", "parked", "edit", id, flag)
	if code != ExitOK || strings.Contains(shown, "\x1b[3") {
		t.Errorf("exit code %d after yes; with NO_COLOR the screen shows\n%q", code, shown)
	}
	wantText(t, mustCall(t, ExitOK, "parked", "export", id, flag), `"payload":{"id":2}`)
}

func TestLongWorkShowsItsProgressOnATerminalOnly(t *testing.T) {
	flag := sqliteURL(t)
	keep(t, openFlag(t, flag), "orders", parkedRow)
	s := openScreen(t)
	root := NewOperator("parley", "for a test")
	root.SetErr(s.terminal)
	p := newProgress(root, "messages visited")
	p.next = p.next.Add(-progressInterval)
	p.add(7)
	p.end()
	_, shown := s.call(t, "", "parked", "ls", "--all-consumers", flag)
	wantText(t, shown, "\r\x1b[Kmessages visited: 7\r\x1b[K", "\x1b[1mID")
	var out bytes.Buffer
	root.SetErr(&out)
	p = newProgress(root, "messages visited")
	p.next = p.next.Add(-progressInterval)
	p.add(7)
	p.end()
	if out.Len() != 0 {
		t.Errorf("without a terminal the progress is %q", &out)
	}
}
