package rest

import (
	"reflect"
	"testing"
)

func TestTypesThatCanHoldAnAnyAreFoundAtEachDepth(t *testing.T) {
	type leaf struct{ Name string }
	type node struct {
		Leaf leaf
		Next *node
	}
	type holder struct {
		Nodes map[string][]struct{ Value *any }
	}
	for _, c := range []struct {
		value any
		want  bool
	}{{node{}, false}, {map[string]int{}, false}, {[]any{}, true}, {holder{}, true}, {map[string]any{}, true}} {
		for range 2 { // the second answer comes from the cache
			if got := holdsAny(reflect.TypeOf(c.value)); got != c.want {
				t.Errorf("%T: %v, want %v", c.value, got, c.want)
			}
		}
	}
}

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
