package parley

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"

	"github.com/parley-go/parley/internal/jsonkeys"
)

var (
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

const (
	maxTimes    = 1000 // deeper than a payload may be
	maxPointers = 16   // ends the way along a pointer to itself
)

// writesItself reports whether values of t, or what t points to, have their own JSON.
func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(marshalerType) || p.Implements(textMarshalerType)
}

// wireTimes returns v with the times and durations behind its interfaces in the form of the wire, and whether there are some. jsonkeys converts
// those whose static type it knows. What changes is copied. A struct behind an interface, and what writes its own JSON, stay as they are.
// So does what is deeper than maxTimes: encoding/json reports a cycle.
func wireTimes(v reflect.Value, depth int) (_ reflect.Value, changed bool, err error) {
	t := v.Type()
	if depth++; depth > maxTimes || !jsonkeys.HoldsAny(t) || writesItself(t) {
		return v, false, nil
	}
	switch t.Kind() {
	case reflect.Interface:
		return timesBehind(v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			return v, false, nil
		}
		to, changed, err := wireTimes(v.Elem(), depth)
		if changed {
			v = reflect.New(t.Elem())
			v.Elem().Set(to)
		}
		return v, changed, err
	case reflect.Map:
		return timesOfMap(v, depth)
	case reflect.Slice, reflect.Array:
		return timesOfParts(v, depth, v.Len(), reflect.Value.Index)
	case reflect.Struct:
		return timesOfParts(v, depth, v.NumField(), reflect.Value.Field)
	}
	return v, false, nil
}

// timesBehind is wireTimes for an interface.
func timesBehind(v reflect.Value, depth int) (_ reflect.Value, changed bool, err error) {
	inner := v.Elem()
	for i := 0; i < maxPointers && inner.Kind() == reflect.Pointer && !inner.IsNil(); i++ {
		inner = inner.Elem()
	}
	if !inner.IsValid() || v.NumMethod() > 0 { // an interface with methods cannot hold the text
		return v, false, nil
	}
	switch x := inner.Interface().(type) {
	case time.Time:
		text, err := jsonkeys.FormatTime(x)
		return reflect.ValueOf(text), true, err
	case time.Duration:
		return reflect.ValueOf(jsonkeys.FormatDuration(x)), true, nil
	}
	if inner.Kind() == reflect.Struct {
		return v, false, nil
	}
	out, changed, err := wireTimes(inner, depth)
	if !changed {
		out = v
	}
	return out, changed, err
}

func timesOfMap(v reflect.Value, depth int) (_ reflect.Value, changed bool, err error) {
	out, value := v, reflect.New(v.Type().Elem()).Elem()
	for i := v.MapRange(); i.Next(); {
		value.SetIterValue(i)
		replaced, different, err := wireTimes(value, depth)
		if err != nil {
			return v, false, err
		}
		if !different {
			continue
		}
		if !changed {
			out, changed = reflect.MakeMapWithSize(v.Type(), v.Len()), true
			for j := v.MapRange(); j.Next(); {
				out.SetMapIndex(j.Key(), j.Value())
			}
		}
		out.SetMapIndex(i.Key(), replaced)
	}
	return out, changed, nil
}

// timesOfParts is wireTimes for a struct, slice or array with n parts.
func timesOfParts(v reflect.Value, depth, n int, part func(v reflect.Value, i int) reflect.Value) (_ reflect.Value, changed bool, err error) {
	out := v
	for i := range n {
		p := part(v, i)
		if !p.CanInterface() {
			continue // an unexported field
		}
		replaced, different, err := wireTimes(p, depth)
		if err != nil {
			return v, false, err
		}
		if different && !changed {
			out, changed = copyOf(v), true
		}
		if different {
			part(out, i).Set(replaced)
		}
	}
	return out, changed, nil
}

// copyOf returns a copy of v whose parts can be set.
func copyOf(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	if v.Kind() != reflect.Slice {
		out.Set(v)
		return out
	}
	out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
	reflect.Copy(out, v)
	return out
}
