package parley

import (
	"iter"
	"reflect"
	"unicode/utf8"
)

// replacement is how encoding/json writes bytes that are not UTF-8. It writes the character U+FFFD itself without an escape.
const replacement = `\ufffd`

// brokenText returns the first text below v that is not UTF-8, or "". encoding/json would change it without an error. Text of a type that writes
// its own JSON is not looked at.
func brokenText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) {
			return s
		}
		return ""
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return brokenText(v.Elem())
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct:
	default:
		return ""
	}
	if writesItself(v.Type()) {
		return ""
	}
	for part := range parts(v) {
		if s := brokenText(part); s != "" {
			return s
		}
	}
	return ""
}

// parts are the keys and values of a map, the elements of a slice or array, and the fields of a struct that encoding/json writes.
func parts(v reflect.Value) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		switch v.Kind() {
		case reflect.Map:
			for i := v.MapRange(); i.Next() && yield(i.Key()) && yield(i.Value()); {
			}
		case reflect.Struct:
			for field, value := range v.Fields() {
				hidden := !field.IsExported() && !field.Anonymous || field.Tag.Get("json") == "-"
				if !hidden && !yield(value) {
					return
				}
			}
		default:
			for i := 0; i < v.Len() && yield(v.Index(i)); i++ {
			}
		}
	}
}
