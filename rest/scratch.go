package rest

import (
	"reflect"
	"sync"
)

// scratch holds buffers for documents that encoding/json reads; encoding/json
// copies what it keeps.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// scratchBytes is the largest buffer kept: a rare huge answer must not stay in
// memory indefinitely.
const scratchBytes = 256 << 10

func keepScratch(b *[]byte) {
	if cap(*b) <= scratchBytes {
		scratch.Put(b)
	}
}

var anyHolders sync.Map // reflect.Type -> bool

// holdsAny reports whether decoding into t can produce an any, whose numbers would
// become float64.
func holdsAny(t reflect.Type) bool {
	if known, ok := anyHolders.Load(t); ok {
		return known.(bool)
	}
	found := findAny(t, make(map[reflect.Type]bool))
	anyHolders.Store(t, found)
	return found
}

func findAny(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return findAny(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if findAny(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
