package jsonkeys

import (
	"reflect"
	"sync"
)

var anyHolders sync.Map // reflect.Type -> bool

// HoldsAny reports whether decoding into t can produce an any, whose numbers would become float64.
func HoldsAny(t reflect.Type) bool {
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
