package parleytest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"
)

const (
	// patience is how long a promise may take to come true, servers included.
	patience = 20 * time.Second
	// glance is how long to watch that something does not happen. It can only make a
	// test miss a fault, never report one that is not there.
	glance = 150 * time.Millisecond
	// pause is the time between two looks.
	pause = 5 * time.Millisecond
)

// deadline returns a context for the calls of one subtest.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually looks until ok returns true, and fails the test if it never does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// receive returns what comes from c, and fails the test if nothing does.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case v := <-c:
		return v
	case <-timeout.C:
		t.Fatalf("after %v still not: %s", patience, what)
		panic("unreachable")
	}
}

// silent watches for a moment that nothing comes from c.
func silent[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	timeout := time.NewTimer(glance)
	defer timeout.Stop()
	select {
	case v := <-c:
		t.Fatalf("%s (got %v)", what, v)
	case <-timeout.C:
	}
}

// unique returns a name that no other run uses: servers may be shared.
func unique(name string) string {
	var b [6]byte
	rand.Read(b[:])
	return "parleytest-" + name + "-" + hex.EncodeToString(b[:])
}
