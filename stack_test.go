package parley

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func panicking(int) { panic("oh") }

func TestTheStackOfAPanicIsThatOfTheHandler(t *testing.T) {
	var none []string
	for name, h := range map[string]HandlerFunc{
		"panicking": func(context.Context, *Delivery) error { panicking(1); return nil },
		"func":      func(_ context.Context, d *Delivery) error { _ = none[d.Attempt]; return nil }, // panics in the runtime
	} {
		p, ok := errors.AsType[*PanicError](protect(t.Context(), h, &Delivery{}))
		if !ok {
			t.Fatal("no panic")
		}
		got := panicStack(p.Stack)
		if first, _, _ := strings.Cut(got, "\n"); !strings.Contains(first, "parley.") || !strings.Contains(first, name) {
			t.Errorf("the stack begins with %q, want the frame of %s", first, name)
		}
		for _, not := range []string{"debug.Stack", "runtime.", "protect", "testing.tRunner"} {
			if strings.Contains(got, not) {
				t.Errorf("the stack contains %s:\n%s", not, got)
			}
		}
	}
	if got := panicStack([]byte("goroutine 1 [running]:\nmain.deep(...)\n\tmain.go:1\n...40 frames elided...\nmain.main()\n\tmain.go:2\n")); got != "main.deep(...)\n\tmain.go:1\nmain.main()\n\tmain.go:2" {
		t.Errorf("a stack without a panic: %q", got)
	}
	if got := panicStack([]byte(strings.Repeat("x", 10) + "\n" + strings.Repeat("f()\n\tf.go\n", 10_000))); len(got) > stackLimit+10 {
		t.Errorf("a deep stack has %d bytes", len(got))
	}
}

func TestTheStackOfAStuckHandlerIsThatOfItsGoroutine(t *testing.T) {
	block := func(frame string, address string) string {
		return "goroutine 7 [chan receive]:\n" + frame + "\n\tuser.go:1\ngithub.com/parley-go/parley.protect(...)\n\thandler.go:1\n" +
			"github.com/parley-go/parley.(*session).attempt(0xc000000001, " + address + ")\n\tconsumer_attempt.go:1\n"
	}
	stacks := "goroutine 1 [running]:\nmain.main()\n\tmain.go:1\n\n" + block("user.first()", "0xc0000000a0") + "\n" + block("user.second()", "0xc0000000b0?")
	if got := findAttempt(stacks, "0xc0000000b0"); got != "goroutine 7 [chan receive]:\nuser.second()\n\tuser.go:1" {
		t.Errorf("found %q", got)
	}
	got := findAttempt(stacks, "0xdead")
	if !strings.Contains(got, "user.first") || !strings.Contains(got, "user.second") || strings.Contains(got, "main.main") {
		t.Errorf("without a match: %q, want all handlers and no other goroutine", got)
	}
}

func blockFirst(wait <-chan struct{})  { <-wait }
func blockSecond(wait <-chan struct{}) { <-wait }

// The address of the job is in the output of the runtime.
func TestARunningAttemptIsFoundByItsJob(t *testing.T) {
	watched(t, 1, func(s *session, _ *atomic.Int64) {
		s.c.cfg.HandlerTimeout, s.hard = time.Hour, context.Background()
		release := make(chan struct{})
		var attempts sync.WaitGroup
		start := func(block func(<-chan struct{})) *job {
			j := &job{d: &Delivery{}, route: &Route{handler: HandlerFunc(func(context.Context, *Delivery) error {
				block(release)
				return nil
			})}}
			attempts.Go(func() {
				if err := s.attempt(j); err != nil {
					t.Error(err)
				}
			})
			return j
		}
		first, second := start(blockFirst), start(blockSecond)
		synctest.Wait() // both handlers are blocked
		for j, want := range map[*job][2]string{first: {"blockFirst", "blockSecond"}, second: {"blockSecond", "blockFirst"}} {
			got := handlerStack(j)
			if !strings.HasPrefix(got, "goroutine ") || !strings.Contains(got, want[0]) || strings.Contains(got, want[1]) {
				t.Errorf("found this stack, want that of %s:\n%s", want[0], got)
			}
		}
		close(release)
		attempts.Wait()
	})
}
