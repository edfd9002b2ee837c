package command

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley/service/internal/servicetest"
)

// A silentInput is an input without data until it is closed.
type silentInput struct {
	once            sync.Once
	reading, closed chan struct{}
}

func newSilentInput() *silentInput {
	return &silentInput{reading: make(chan struct{}), closed: make(chan struct{})}
}

func (s *silentInput) Read([]byte) (int, error) {
	s.once.Do(func() { close(s.reading) })
	<-s.closed
	return 0, io.EOF
}

func TestASignalEndsAReadOfStandardInput(t *testing.T) {
	for _, args := range [][]string{{"publish", "user", "renamed", "--file=-", "--database-url=sqlite:unused.db"}, {"console", "password", "ada"}} {
		in, errs := newSilentInput(), bytes.Buffer{}
		ctx, cancel := context.WithCancel(t.Context())
		root := NewOperator("parley", "for a test")
		root.SetIn(in)
		root.SetErr(&errs)
		go func() { // ends with the read
			<-in.reading
			cancel() // as a signal does
		}()
		done := make(chan int, 1)
		go func() { done <- Execute(ctx, root, args) }()
		select {
		case code := <-done:
			if code != ExitFailed || !strings.Contains(errs.String(), "interrupted") {
				t.Errorf("%v: exit code %d: %s", args, code, &errs)
			}
			close(in.closed)
		case <-time.After(servicetest.Patience):
			t.Errorf("%v: still waits for its input after a signal", args)
			close(in.closed)
			<-done
		}
		cancel()
	}
}

func TestASignalAtAQuestionMeansNo(t *testing.T) {
	flag := sqliteURL(t)
	keep(t, openFlag(t, flag), "orders", parkedRow, parkedRow)
	s := openScreen(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	root := NewOperator("parley", "for a test")
	root.SetIn(s.terminal)
	root.SetOut(s.terminal)
	root.SetErr(s.terminal)
	done := make(chan int, 1)
	go func() { done <- Execute(ctx, root, []string{"parked", "drop", "--all", flag}) }()
	servicetest.Await(t, "the question", func() error { return s.shows("[y/N] ") })
	cancel() // as a signal does
	code := -1
	select {
	case code = <-done:
		s.press(t, "\n") // ends the abandoned read
	case <-time.After(servicetest.Patience):
		t.Error("the command still waits for its answer after a signal")
		s.press(t, "\n")
		<-done
	}
	if shown := s.close(t); code != ExitFailed || !strings.Contains(shown, "interrupted") || strings.Contains(shown, "dropped") {
		t.Errorf("exit code %d:\n%s", code, shown)
	}
}
