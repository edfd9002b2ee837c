package jsonkeys

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Verbatim is the text of Names that lists no key: all keys but those of struct fields are as
// the publisher wrote them.
const Verbatim = "verbatim"

// maxNames is how long the text of Names may be. It travels in a header, and a retry copy needs
// room for its own headers.
const maxNames = 2048

// Names hold a publisher's spelling of the keys of a document that differ from those on the wire. These are
// the keys of its data that became camelCase, and the keys of struct fields, which a reader without the
// struct sees in snake_case. All other keys are as the publisher wrote them. A nil *Names is a document of a
// publisher that does not say so: its keys follow the rules.
type Names struct {
	original map[string]string // by key on the wire
	text     string
}

// ParseNames reads the text that Encode returned. The empty text is nil.
func ParseNames(text string) (*Names, error) {
	switch text {
	case "":
		return nil, nil
	case Verbatim:
		return nothingRenamed, nil
	}
	n := &Names{text: text}
	if err := json.Unmarshal([]byte(text), &n.original); err != nil || n.original == nil {
		return nil, fmt.Errorf("%.80q is neither %q nor a JSON object of strings", text, Verbatim)
	}
	for _, original := range n.original {
		if strings.ContainsRune(original, 0) {
			return nil, errors.New("a name has the character U+0000")
		}
	}
	return n, nil
}

// String returns the text that ParseNames reads.
func (n *Names) String() string {
	if n == nil {
		return ""
	}
	return n.text
}

var nothingRenamed = &Names{text: Verbatim}

// namesOf returns the names of original, nil if their text is too long.
func namesOf(original map[string]string) *Names {
	if len(original) == 0 {
		return nothingRenamed
	}
	keys := make([]string, 0, len(original))
	for key := range original {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	text := make([]byte, 0, 32*len(keys))
	for i, key := range keys {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, '"')
		text = appendEscaped(text, []byte(key))
		text = append(text, `":"`...)
		text = appendEscaped(text, []byte(original[key]))
		text = append(text, '"')
		if len(text) > maxNames {
			return nil
		}
	}
	return &Names{original: original, text: "{" + string(text) + "}"}
}

// find returns the original of the key on the wire.
func (n *Names) find(key []byte) (original string, ok bool) {
	original, ok = n.original[string(key)]
	return original, ok
}

// A CollisionError says that two keys of one object become the same key on the wire.
type CollisionError struct {
	First, Second string // as the publisher wrote them, equal if the key occurs twice
	Wire          string
}

func (e *CollisionError) Error() string {
	if e.First == e.Second {
		return fmt.Sprintf("key %.80q occurs twice in one object", e.First)
	}
	return fmt.Sprintf("keys %.80q and %.80q of one object are both %.80q on the wire", e.First, e.Second, e.Wire)
}

// Encode is ToWire with the options o, for a publisher whose reader must get each key of the
// data as it is in src: the keys of maps, of values behind interfaces, of json.RawMessage and of types that write
// or read their own JSON. Names says what the reader needs for that. It is nil if there are no such
// keys, or if the rules change none of them in either direction.
//
// Two keys of one object that become the same are a *CollisionError. Where one key on the wire would
// stand for two different ones, or Names would be too long for a header, the keys of the data
// stay as they are.
func (s *Shape) Encode(dst, src []byte, o *Options, l Limits) ([]byte, *Names, error) {
	j := job{dir: toCamel, opts: o, shape: s, limits: l, strict: true}
	out, found, err := track(dst, src, j)
	if err != nil || !found.altered {
		return out, nil, err
	}
	if names := collect(src, j); names != nil {
		return out, names, nil
	}
	j.dataAsIs = true
	if out, _, err = track(dst, src, j); err != nil {
		return dst, nil, err
	}
	if names := collect(src, j); names != nil {
		return out, names, nil
	}
	return out, nothingRenamed, nil // readers without the struct see its fields in camelCase
}

// track runs one pass and says what it met.
func track(dst, src []byte, j job) ([]byte, notes, error) {
	w := walkers.Get().(*walker)
	defer w.release()
	w.notes = notes{on: true}
	if err := w.run(dst, src, j); err != nil {
		return dst, notes{}, err
	}
	return w.dst, w.notes, nil
}

// collect returns the names for the document, nil if there are none that say it all.
func collect(src []byte, j job) *Names {
	j.discard, j.strict = true, false
	names := map[string]string{}
	for _, n := range []notes{{on: true, names: names}, {on: true, names: names, verify: true}} {
		w := walkers.Get().(*walker)
		w.notes = n
		err := w.run(nil, src, j)
		n = w.notes
		w.release()
		if err != nil || n.conflict {
			return nil
		}
		if len(names) == 0 || !n.suspect {
			break
		}
	}
	return namesOf(names)
}

// notes are what a pass towards the wire notes about keys, for Encode.
type notes struct {
	on      bool
	altered bool // a key of the data changes when a reader applies the rules for all keys
	suspect bool // a key of the data that did not change looks like one that did

	names    map[string]string // if not nil, original names are added
	verify   bool              // names are complete: look for keys that they name wrongly
	conflict bool              // one key on the wire stands for two originals
}

// noteField notes the name of a struct field on the wire: readers without the struct get it
// in snake_case.
func (w *walker) noteField(wire string) {
	n := &w.notes
	if n.names == nil || n.verify || w.ignored {
		return
	}
	if snake := UnderscoreizeKey(wire, w.opts != nil && w.opts.NoUnderscoreBeforeNumber); snake != wire {
		n.add(wire, snake)
	}
}

// noteData notes a key of the data, whose name on the wire is wire.
func (w *walker) noteData(name, wire []byte, classes byte) {
	n := &w.notes
	if string(name) != string(wire) {
		n.altered = true
		if n.names != nil && !n.verify {
			n.add(string(wire), string(name))
		}
		return
	}
	if classes&(isUpper|isDigit|isWide|isBackslash) == 0 && (len(name) == 0 || name[0] != '_') {
		return // in no way changed by the rules, nor the result of a change
	}
	n.suspect = true
	if n.verify {
		original, ok := n.names[string(wire)]
		n.conflict = n.conflict || ok && original != string(name)
		return
	}
	n.altered = n.altered || w.changesOnReading(name)
}

// changesOnReading reports whether a reader by the rules, with or without NoUnderscoreBeforeNumber,
// changes the key.
func (w *walker) changesOnReading(name []byte) bool {
	for _, noNumber := range []bool{false, true} {
		w.back = appendSnake(w.back[:0], name, noNumber)
		if string(w.back) != string(name) {
			return true
		}
	}
	return false
}

func (n *notes) add(wire, original string) {
	known, ok := n.names[wire]
	n.conflict = n.conflict || ok && known != original
	n.names[wire] = original
	if len(n.names) > maxNames/6 {
		n.conflict = true // too many for a header: no need to look on
	}
}

// Decode is FromWire with the options o and the names that came with the document. With
// names the keys of the data come out as their publisher wrote them, below json.RawMessage too, and the options
// are not used. Without names it is FromWire.
func (s *Shape) Decode(dst, src []byte, o *Options, names *Names, l Limits) ([]byte, error) {
	return rewrite(dst, src, job{dir: toSnake, shape: s, opts: o, names: names, limits: l, bom: true})
}
