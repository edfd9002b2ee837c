//go:build unix

package faulttests_test

import (
	"strings"
	"syscall"
	"testing"
)

// The checks of spawn must find a leak and a password.
func TestAChildThatLeaksAGoroutineOrShowsAPasswordIsCaught(t *testing.T) {
	l := newLab(t, 1)
	s := l.child("consumer")
	s.Settings = []string{"VICTIM_LEAK=1", "VICTIM_SAY=the password is " + canary}
	p := spawn(t, s)
	p.works()
	p.signal(syscall.SIGTERM)
	p.wait(p.ended, "the child ends")
	if code := p.cmd.ProcessState.ExitCode(); code != 70 || !strings.Contains(p.words(), "left behind") {
		t.Errorf("a child with a leak ended with exit code %d, want 70; its output:\n%s", code, p.words())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.broken) != 1 || !strings.Contains(p.broken[0], "shows a password") {
		t.Errorf("the findings about a child that shows a password are %q", p.broken)
	}
	p.broken = nil // expected here
}

func TestAFaultStrikesAtItsPassOfAProgramAndSaysSo(t *testing.T) {
	l := newLab(t, 1)
	l.produce(50)
	s := l.child("relay")
	s.Batch, s.Point, s.Pass = 10, afterPublish, 3
	s.Fault = string(beforePublish) + ":*:sleep=1ms;" + string(afterDelete) + ":1:error"
	p := spawn(t, s)
	p.diedAt(afterPublish)
	if !p.hit(beforePublish) || !p.hit(afterDelete) || p.hit(afterCommit) {
		t.Errorf("the failpoints %q were triggered", p.struck)
	}
	if n := p.heard("relay: batch failed, backing off"); n != 1 {
		t.Errorf("the relay logged %d errors, want the injected one", n)
	}
}
