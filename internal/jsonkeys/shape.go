package jsonkeys

import (
	"encoding"
	"encoding/json"
	"hash/maphash"
	"reflect"
	"sync"
)

// A Shape holds the names of the fields of a Go type, in the JSON of encoding/json and on the wire.
// So typed payloads never pass through the lossy snake_case form. A nil *Shape is an untyped value:
// all of its keys follow Camelize and Underscoreize.
//
// On the wire a struct field is called as its tag `wire:"name"` says, else
// CamelizeKey of the name in its json tag, else its Go name with the capitals
// lowered (ID -> id, UserID -> userId, HTTPServer -> httpServer). A time.Time is
// written in UTC with six decimals and read without a zone too, a time.Duration
// is ISO 8601 (P1DT01H01M01.000500S), and read as Django REST framework writes it too (1 01:01:01.000500). Below a field with the tag `wire:",keep"` or `wire:"name,keep"` nothing is rewritten.
type Shape struct {
	kind      shapeKind
	opaqueOut bool // the type writes its own JSON
	opaqueIn  bool // the type reads its own JSON

	elem     *Shape // of a list or map
	keepKeys bool   // a map whose keys have a text form of their own

	byJSON map[string]*shapeField // by the name encoding/json uses
	byName map[string]*shapeField // by that name and the one on the wire
	byFold map[string]*shapeField // by the same without case and underscores

	clash *ClashError // of the shape that ShapeOf returned: the first one at or below it
}

type shapeKind uint8

const (
	verbatimShape shapeKind = iota
	rawShape
	structShape
	mapShape
	listShape
	timeShape
	durationShape
)

// verbatim is the shape of values in which nothing is rewritten.
var verbatim = &Shape{kind: verbatimShape}

type shapeField struct {
	json, wire fieldName
	shape      *Shape
}

type fieldName struct {
	text    string
	escaped string // as the content of a JSON string
	hash    uint64
}

func newFieldName(s string) fieldName {
	return fieldName{
		text:    s,
		escaped: string(appendEscaped(nil, []byte(s))),
		hash:    maphash.String(seed, s),
	}
}

// A rank says how well a key of a document fits a field. The best one gets it.
type rank uint8

const (
	folded rank = iota // equal but for case and underscores
	exact
)

var shapes sync.Map // reflect.Type -> *Shape

// ShapeOf returns the shape of t, following pointers. It is nil for types
// without fields to know, such as any and map[string]any. Types that implement
// json.Marshaler or encoding.TextMarshaler are untyped for ToWire, those that
// implement the counterparts are untyped for FromWire; for Encode the keys of their fields are data, because their own
// reader looks for the names in JSON. Map keys that have such
// a text form are left alone. It may be called from many goroutines.
func ShapeOf(t reflect.Type) *Shape {
	if t == nil {
		return nil
	}
	if s, ok := shapes.Load(t); ok {
		return s.(*Shape)
	}
	b := shapeBuilder{seen: map[reflect.Type]*Shape{}}
	built := b.shape(t)
	if built != nil && built != verbatim {
		built.clash = b.clash
	}
	// Only a finished shape may be seen by others, hence one store at the end.
	s, _ := shapes.LoadOrStore(t, built)
	return s.(*Shape)
}

// ToWire appends src, which encoding/json made of a value of the shape's type,
// to dst, with its keys as they go on the wire. The keys of maps, of values
// behind interfaces and of json.RawMessage follow Camelize. Errors and
// collisions are those of Camelize; a time outside the years 1 to 9999 in UTC is an error too.
func (s *Shape) ToWire(dst, src []byte, l Limits) ([]byte, error) {
	return rewrite(dst, src, job{dir: toCamel, shape: s, limits: l})
}

// FromWire appends src, which came from the network, to dst, with its keys
// rewritten so that json.Unmarshal into the shape's type finds each field, and
// no other. A key belongs to a field if it equals the field's name in JSON or
// on the wire, else if it does so ignoring case and underscores. When several
// keys belong to one field, an equal one wins over a similar one, then the
// later over the earlier. Keys of no field stay as they are, the keys of maps
// and of values behind interfaces follow Underscoreize, and a json.RawMessage
// gets its bytes untouched. Errors are those of Underscoreize, and so is the
// treatment of a byte order mark.
func (s *Shape) FromWire(dst, src []byte, l Limits) ([]byte, error) {
	return rewrite(dst, src, job{dir: toSnake, shape: s, limits: l, bom: true})
}

// in returns how w treats a value of shape s: nil if untyped.
func (s *Shape) in(w *walker) *Shape {
	d := w.dir
	switch {
	case s == nil, d == toCamel && s.opaqueOut, d == toSnake && s.opaqueIn:
		return nil
	case s.kind != rawShape:
		return s
	case d == toCamel, w.names != nil:
		return nil
	default:
		return verbatim
	}
}

// asObject is the shape for the members of a JSON object found where a value of
// shape s belongs. An object where a list belongs is untyped.
func (s *Shape) asObject(w *walker) *Shape {
	s = s.in(w)
	if s != nil && (s.kind == listShape || s.isScalar()) {
		return nil
	}
	return s
}

// isScalar reports whether values of the shape are written otherwise on the wire.
func (s *Shape) isScalar() bool { return s.kind == timeShape || s.kind == durationShape }

// asArray is the same for the elements of a JSON array.
func (s *Shape) asArray(w *walker) *Shape {
	s = s.in(w)
	if s == nil || s == verbatim {
		return s
	}
	if s.kind != listShape {
		return nil
	}
	return s.elem
}

var (
	rawMessageType      = reflect.TypeFor[json.RawMessage]()
	marshalerType       = reflect.TypeFor[json.Marshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// implements reports whether t or *t is one of the interfaces.
func implements(t reflect.Type, interfaces ...reflect.Type) bool {
	p := reflect.PointerTo(t)
	for _, i := range interfaces {
		if t.Implements(i) || p.Implements(i) {
			return true
		}
	}
	return false
}

// maxPointers ends the way down types like "type P *P".
const maxPointers = 16

// A shapeBuilder makes one shape and those below it; seen ends recursion.
type shapeBuilder struct {
	seen  map[reflect.Type]*Shape
	clash *ClashError // the first one found
}

func (b *shapeBuilder) shape(t reflect.Type) *Shape {
	for range maxPointers {
		if t.Kind() != reflect.Pointer {
			break
		}
		t = t.Elem()
	}
	if s, ok := b.seen[t]; ok {
		return s
	}
	s := &Shape{}
	b.seen[t] = s
	if !b.fill(s, t) {
		s = nil
		b.seen[t] = nil
	}
	return s
}

// fill makes s the shape of t and returns false if t is untyped.
func (b *shapeBuilder) fill(s *Shape, t reflect.Type) bool {
	if t == rawMessageType {
		s.kind = rawShape
		return true
	}
	switch t {
	case timeType:
		s.kind = timeShape
		return true
	case durationType:
		s.kind = durationShape
		return true
	}
	s.opaqueOut = implements(t, marshalerType, textMarshalerType)
	s.opaqueIn = implements(t, unmarshalerType, textUnmarshalerType)
	if s.opaqueOut && s.opaqueIn {
		return false
	}
	partly := s.opaqueOut || s.opaqueIn
	switch t.Kind() {
	case reflect.Struct:
		s.kind = structShape
		b.fields(s, t)
		return true
	case reflect.Map:
		s.kind = mapShape
		s.keepKeys = implements(t.Key(), textMarshalerType, textUnmarshalerType)
		s.elem = b.shape(t.Elem())
		return s.elem != nil || s.keepKeys || partly
	case reflect.Slice, reflect.Array:
		s.kind = listShape
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			s.kind = rawShape // as a payload: JSON already
			return true
		}
		s.elem = b.shape(t.Elem())
		return s.elem != nil || partly
	default:
		return false
	}
}
