package jsonkeys

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
			if got := HoldsAny(reflect.TypeOf(c.value)); got != c.want {
				t.Errorf("%T: %v, want %v", c.value, got, c.want)
			}
		}
	}
}
