// Package jsonkeys rewrites the keys of JSON documents between camelCase and
// snake_case, exactly as djangorestframework-camel-case does it for Python
// services, and checks documents that come from or go to strangers.
//
// Everything works on bytes in one pass: values, the order of keys, the text
// of numbers and insignificant white space come out as they went in. Nothing
// is decoded into maps, so big integers and 1.10 survive.
//
// Every function refuses what must not travel: syntax errors (NaN and Infinity
// are such), invalid UTF-8, lone surrogates unless the Limits accept them, the
// character U+0000, and documents beyond the Limits. The errors are *SyntaxError and *LimitError.
//
// The rules for keys lose information ("sha256" becomes "sha_256"). Typed
// payloads therefore go through a Shape, which knows the fields of a Go type. Between two
// programs that use this package, Names restore all other keys: see Shape.Encode and Shape.Decode.
package jsonkeys

import "sync"

// Options are the choices of the Python setting JSON_CAMEL_CASE.JSON_UNDERSCOREIZE.
// They apply in both directions. A nil *Options is the zero value: no exceptions.
type Options struct {
	// IgnoreKeys are keys that stay as they are; what is below them is
	// rewritten. Each is compared with a key before and after rewriting.
	IgnoreKeys []string

	// IgnoreFields are keys below which nothing is rewritten; the key itself
	// is. Each is compared with a key before and after rewriting.
	IgnoreFields []string

	// NoUnderscoreBeforeNumber makes "item1" stay "item1" instead of becoming
	// "item_1". Only Underscoreize looks at it.
	NoUnderscoreBeforeNumber bool
}

// Camelize appends src to dst with its keys in camelCase and returns the
// extended buffer. When two keys of one object become the same, the later
// value wins and stands at the place of the first, as in a Python dict.
//
// The errors are *SyntaxError and *LimitError; dst is then returned as it was.
// dst must not overlap src.
func Camelize(dst, src []byte, o *Options, l Limits) ([]byte, error) {
	return rewrite(dst, src, job{dir: toCamel, opts: o, limits: l})
}

// Underscoreize is Camelize in the other direction: keys come out in
// snake_case, without leading underscores. A byte order mark at the start of
// src is dropped.
func Underscoreize(dst, src []byte, o *Options, l Limits) ([]byte, error) {
	return rewrite(dst, src, job{dir: toSnake, opts: o, limits: l, bom: true})
}

// Valid reports whether src is a JSON document fit to travel: it returns nil,
// a *SyntaxError, or a *LimitError. A byte order mark at the start is accepted.
func Valid(src []byte, l Limits) error {
	_, err := rewrite(nil, src, job{shape: verbatim, limits: l, bom: true, discard: true})
	return err
}

// Members calls yield for each member of the object that src holds, in the
// order of the document, duplicates included: the decoded key, and the text of
// the value without the white space around it. The value is a part of src.
//
// The whole document is checked as Valid does before yield is called for the
// first time. A document that is no object is a *SyntaxError. An error of
// yield ends the iteration and is returned as it is.
func Members(src []byte, l Limits, yield func(key string, value []byte) error) error {
	w := walkers.Get().(*walker)
	defer w.release()
	j := job{shape: verbatim, limits: l, bom: true, collect: true}
	if err := w.start(nil, src, j); err != nil {
		return err
	}
	if err := w.document(); err != nil {
		return err
	}
	for _, m := range w.members {
		key := w.src[m.keyStart:m.keyEnd]
		if m.escaped {
			key = w.plainText(key)
		}
		if err := yield(string(key), w.src[m.valStart:m.valEnd:m.valEnd]); err != nil {
			return err
		}
	}
	return nil
}

// A job is what one pass over a document shall do.
type job struct {
	dir     direction
	opts    *Options
	shape   *Shape // nil: every key follows the rule for untyped values
	limits  Limits
	bom     bool // accept and drop a byte order mark
	discard bool // check only, produce no output
	strict  bool // two keys that become one are an error

	dataAsIs bool   // towards the wire: only struct fields are renamed
	names    *Names // from the wire: the keys of the data as their publisher wrote them
	collect  bool   // note the members of the top-level object, which must be one
}

type direction uint8

const (
	toCamel direction = iota
	toSnake
)

var walkers = sync.Pool{New: func() any { return new(walker) }}

// rewrite runs one pass and returns dst as it was when that fails.
func rewrite(dst, src []byte, j job) ([]byte, error) {
	w := walkers.Get().(*walker)
	defer w.release()
	if err := w.run(dst, src, j); err != nil || j.discard {
		return dst, err
	}
	return w.dst, nil
}
