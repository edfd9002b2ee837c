package parleytest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"
)

const (
	// patience bounds how long a promise may take to be kept, with the time of servers.
	patience = time.Minute
	// glance is how long a test watches that something does not happen. A short time can make a
	// test miss a fault, but cannot make it report a false one.
	glance = 150 * time.Millisecond
	// pause is the time between two polls.
	pause = 5 * time.Millisecond
)

// deadline returns a context for the calls of one subtest.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until ok returns true, and fails the test after patience.
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
			t.Fatalf("timed out after %v: %s", patience, what)
		}
	}
}

// receive returns a value from c, and fails the test if none arrives within patience.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case v := <-c:
		return v
	case <-timeout.C:
		t.Fatalf("timed out after %v: %s", patience, what)
		panic("unreachable")
	}
}

// silent fails the test if a value arrives from c within glance.
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

// unique returns a name that no other run uses, because servers may be shared.
func unique(name string) string {
	var b [6]byte
	rand.Read(b[:])
	return "parleytest-" + name + "-" + hex.EncodeToString(b[:])
}
