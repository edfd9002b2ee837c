package rest

import "testing"

// A rare huge answer must not stay in memory.
func TestLargeBuffersAreNotKept(t *testing.T) {
	large := make([]byte, 0, scratchBytes+1)
	keepScratch(&large)
	for range 100 {
		if b := scratch.Get().(*[]byte); b == &large {
			t.Fatal("a buffer larger than scratchBytes was kept")
		}
	}
}
