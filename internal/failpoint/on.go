//go:build faults

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Variable is the environment variable that says what happens where.
const Variable = "PARLEY_FAULT"

// ErrInjected is what Hit returns at a place with the action error.
var ErrInjected = errors.New("failpoint: injected error")

// A fault is what happens at one place.
type fault struct {
	place  string
	pass   int // 0 is each one
	action string
	pause  time.Duration

	mu   sync.Mutex // guards the field below
	hits int
}

var faults = mustParse(takeVariable())

// takeVariable takes the variable out of the environment: programs refuse variables of ours
// that they do not know, and what they start is not to fail as well.
func takeVariable() string {
	text := os.Getenv(Variable)
	_ = os.Unsetenv(Variable) // its name is a valid one
	return text
}

func mustParse(text string) []*fault {
	all, err := parse(text)
	if err != nil {
		panic("failpoint: " + Variable + ": " + err.Error())
	}
	return all
}

func parse(text string) (all []*fault, err error) {
	for part := range strings.SplitSeq(text, ";") {
		if part == "" {
			continue
		}
		words := strings.Split(part, ":")
		if len(words) != 3 || words[0] == "" {
			return nil, fmt.Errorf(`%q is not "place:pass:action"`, part)
		}
		f := &fault{place: words[0]}
		if words[1] != "*" {
			if f.pass, err = strconv.Atoi(words[1]); err != nil || f.pass < 1 {
				return nil, fmt.Errorf(`pass %q of %q is neither a number from 1 nor "*"`, words[1], f.place)
			}
		}
		if err := f.read(words[2]); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (f *fault) read(action string) (err error) {
	name, value, _ := strings.Cut(action, "=")
	f.action = name
	switch name {
	case "kill", "stop", "error", "panic":
		return nil
	case "sleep":
		f.pause, err = time.ParseDuration(value)
		return err
	}
	return fmt.Errorf("action %q of %q is none of kill, stop, sleep=<duration>, error and panic", action, f.place)
}

// Hit marks a place. It returns ErrInjected if that is to happen here, else nil.
func Hit(place string) error {
	for _, f := range faults {
		if f.place == place {
			if err := f.hit(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fault) hit() error {
	f.mu.Lock()
	defer f.mu.Unlock() // whoever comes second to a place that kills waits here for the end
	f.hits++
	if f.pass != 0 && f.hits != f.pass {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint: %s at %s, pass %d\n", f.action, f.place, f.hits)
	switch f.action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		woken := make(chan os.Signal, 1)
		signal.Notify(woken, syscall.SIGCONT)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-woken // the other threads stop first: this one would get as far as the next batch
		signal.Stop(woken)
	case "sleep":
		time.Sleep(f.pause)
	case "panic":
		panic("failpoint: panic at " + f.place)
	case "error":
		return ErrInjected
	}
	return nil
}
