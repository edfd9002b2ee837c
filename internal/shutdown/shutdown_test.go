package shutdown

import (
	"bytes"
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSignalsWithinASecondAreOneRequestAndALaterOneExits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pause   time.Duration
		exits   int
		message string
	}{
		{"at once", 0, 0, ""},
		{"within a second", SameRequest, 0, ""},
		{"later", SameRequest + time.Millisecond, 1, "parley: second signal (terminated), exiting immediately\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var codes []int
				var out bytes.Buffer
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := &watch{cancel: cancel, exit: func(code int) { codes = append(codes, code) }, out: &out}
				signals := make(chan os.Signal)
				end := w.start(signals, func() {})
				signals <- syscall.SIGTERM
				<-ctx.Done()
				time.Sleep(tt.pause)
				signals <- syscall.SIGTERM
				end()
				if len(codes) != tt.exits || out.String() != tt.message {
					t.Errorf("exits %v and message %q, want %d exits and %q", codes, out.String(), tt.exits, tt.message)
				}
				if len(codes) == 1 && codes[0] != 1 {
					t.Errorf("exit code %d, want 1", codes[0])
				}
			})
		})
	}
}

func TestSignalsOfTheSameRequestAreIgnoredAfterTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		restored := make(chan struct{})
		w := &watch{cancel: func() {}, exit: func(int) { t.Error("exited") }}
		signals := make(chan os.Signal)
		end := w.start(signals, func() { close(restored) })
		signals <- syscall.SIGTERM
		start := time.Now()
		end()
		<-restored
		if took := time.Since(start); took != SameRequest {
			t.Errorf("signals got their usual meaning back after %v, want %v: a second one would kill the process while it closes", took, SameRequest)
		}
	})
}

func TestAWatchWithoutASignalEndsAtOnce(t *testing.T) {
	restored := false
	w := &watch{cancel: func() {}, exit: func(int) { t.Error("exited") }}
	end := w.start(nil, func() { restored = true })
	end()
	end()
	if !restored {
		t.Error("signals did not get their usual meaning back")
	}
}
