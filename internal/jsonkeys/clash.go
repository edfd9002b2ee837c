package jsonkeys

import (
	"fmt"
	"reflect"
)

// A ClashError says that two fields of a struct have one name on the wire, so that
// the value of one of them would be lost.
type ClashError struct {
	Type          reflect.Type // the struct
	First, Second string       // the fields, each as GoName ("json name")
	Wire          string       // their name on the wire
}

func (e *ClashError) Error() string {
	return fmt.Sprintf("type %v: fields %s and %s are both %q on the wire: rename one, or add a tag `wire:\"name\"`",
		e.Type, e.First, e.Second, e.Wire)
}

// Clash returns a *ClashError if two fields of one struct have the same name on the wire,
// anywhere below the type of the shape, else nil.
func (s *Shape) Clash() error {
	if s == nil || s.clash == nil {
		return nil
	}
	return s.clash
}

// findClash notes the first two of the fields of t that have one name on the wire.
func (b *shapeBuilder) findClash(t reflect.Type, fields []goField, shaped []*shapeField) {
	first := make(map[string]int, len(fields))
	for i, f := range shaped {
		n, taken := first[f.wire.text]
		if !taken {
			first[f.wire.text] = i
			continue
		}
		if b.clash == nil {
			b.clash = &ClashError{Type: t, First: fields[n].String(), Second: fields[i].String(), Wire: f.wire.text}
		}
	}
}

func (f goField) String() string { return fmt.Sprintf("%s (%q)", f.path, f.name) }
