package jsonkeys

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// rename writes the key src[start:end] as a value of shape s wants it, adds its
// entry, and returns the shape of the member's value.
func (w *walker) rename(s *Shape, start, end int, classes byte) (child *Shape) {
	name := w.name(start, end, classes)
	e := entry{srcStart: start, srcEnd: end, keyStart: w.out(start)}
	if f, r := w.field(s, name); f != nil {
		n := &f.json
		if w.dir == toCamel {
			n = &f.wire
		}
		if w.reads {
			n = w.dataField(f, n, name, classes)
		} else if w.special {
			n = w.specialField(f, n, name)
		}
		if n.text != string(name) {
			w.replace(start, end, n.escaped)
		}
		e.hash, e.rank, child = n.hash, r, f.shape
	} else {
		var renamed []byte
		renamed, child = w.untyped(s, name, classes)
		if w.notes.on {
			w.noteData(name, renamed, classes)
		}
		e.hash = maphash.Bytes(seed, renamed)
		if !bytes.Equal(renamed, name) {
			w.replaceText(start, end, renamed, classes)
		}
	}
	e.keyEnd = w.out(end)
	w.entries = append(w.entries, e)
	return child
}

// field finds the field of a struct that the key belongs to.
func (w *walker) field(s *Shape, name []byte) (*shapeField, rank) {
	if s == nil || s.kind != structShape {
		return nil, 0
	}
	if w.dir == toCamel {
		return s.byJSON[string(name)], exact
	}
	if f := s.byName[string(name)]; f != nil {
		return f, exact
	}
	w.folded = appendFolded(w.folded[:0], name)
	return s.byFold[string(w.folded)], folded
}

// name returns the key src[start:end] without escapes, valid until the next call.
func (w *walker) name(start, end int, classes byte) []byte {
	if classes&isBackslash != 0 {
		return w.plainText(w.src[start:end])
	}
	return w.src[start:end]
}

// dataField returns the new name of a field in a type that reads its own JSON. Such a type looks for the name that encoding/json wrote, so
// the name is noted as a key of the data.
func (w *walker) dataField(f *shapeField, n *fieldName, name []byte, classes byte) *fieldName {
	if w.opts.hasExceptions() {
		n = w.exceptField(f, n, name)
	}
	if w.dataAsIs {
		n = &f.json
	}
	if w.notes.on {
		w.noteData(name, []byte(n.text), classes)
	}
	return n
}

// specialField returns the new name of the field, whose key is name and whose new name is n without exceptions.
func (w *walker) specialField(f *shapeField, n *fieldName, name []byte) *fieldName {
	if w.opts.hasExceptions() {
		n = w.exceptField(f, n, name)
	}
	if w.notes.names != nil {
		w.noteField(n.text)
	}
	return n
}

// exceptField applies the exceptions of the options to the field.
func (w *walker) exceptField(f *shapeField, n *fieldName, name []byte) *fieldName {
	jsonName, wire := []byte(f.json.text), []byte(f.wire.text)
	w.enters = listed(w.opts.IgnoreFields, jsonName, wire) || listed(w.opts.IgnoreFields, name, name)
	if w.ignored || listed(w.opts.IgnoreKeys, jsonName, wire) {
		return &f.json
	}
	return n
}

// hasExceptions reports whether some keys are treated unlike others.
func (o *Options) hasExceptions() bool {
	return o != nil && len(o.IgnoreKeys)+len(o.IgnoreFields) > 0
}

// untyped applies the rule for keys that are no fields, and says what becomes
// of the value.
func (w *walker) untyped(s *Shape, name []byte, classes byte) (renamed []byte, child *Shape) {
	switch {
	case s == nil:
	case s.kind == structShape && w.dir == toSnake:
		return name, verbatim // the result is not used
	case s.kind == mapShape:
		child = s.elem
	}
	switch {
	case w.names != nil:
		if original, ok := w.names.find(name); ok {
			w.renamed = append(w.renamed[:0], original...)
			return w.renamed, child
		}
		return name, child
	case w.ignored, w.dataAsIs, s != nil && s.kind == mapShape && s.keepKeys:
		return name, child
	}
	renamed = name
	if w.changes(name, classes) {
		renamed = w.apply(name)
	}
	if w.opts == nil {
		return renamed, child
	}
	w.enters = listed(w.opts.IgnoreFields, name, renamed)
	if listed(w.opts.IgnoreKeys, name, renamed) {
		renamed = name
	}
	return renamed, child
}

// changes is false only for keys that the rule leaves as they are. It must not
// trust the classes of a key with escapes, which may hide anything.
func (w *walker) changes(name []byte, classes byte) bool {
	if w.dir == toCamel {
		return classes&(isUnderscore|isBackslash) != 0
	}
	if classes&(isUpper|isDigit|isWide|isBackslash) != 0 {
		return true
	}
	return len(name) > 0 && name[0] == '_'
}

func (w *walker) apply(name []byte) []byte {
	if w.dir == toCamel {
		w.renamed = appendCamel(w.renamed[:0], name)
	} else {
		w.renamed = appendSnake(w.renamed[:0], name, w.opts != nil && w.opts.NoUnderscoreBeforeNumber)
	}
	return w.renamed
}

func listed(list []string, name, renamed []byte) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		return s == string(name) || s == string(renamed)
	})
}

// replace puts text, which is escaped, in the place of the key src[start:end].
func (w *walker) replace(start, end int, text string) {
	w.flush(start)
	w.dst = append(w.dst, text...)
	w.copied = end
}

// replaceText puts the name in the place of the key src[start:end].
func (w *walker) replaceText(start, end int, name []byte, classes byte) {
	w.flush(start)
	if classes&isBackslash != 0 || w.names != nil { // names may have any character
		w.dst = appendEscaped(w.dst, name)
	} else {
		w.dst = append(w.dst, name...)
	}
	w.copied = end
}

// plainText returns the key s without its escapes, valid until the next call.
func (w *walker) plainText(s []byte) []byte {
	w.plain = appendUnescaped(w.plain[:0], s)
	return w.plain
}
