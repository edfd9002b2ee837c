package jsonkeys

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fields fills the maps of s, the shape of struct type t.
func (b *shapeBuilder) fields(s *Shape, t reflect.Type) {
	var fs []*shapeField
	s.byJSON = map[string]*shapeField{}
	s.byName = map[string]*shapeField{}
	s.byFold = map[string]*shapeField{}
	goFields := goFields(t)
	for _, g := range goFields {
		f := &shapeField{json: newFieldName(g.name)}
		tag, options, _ := strings.Cut(g.wireTag, ",")
		switch {
		case tag != "":
			f.wire = newFieldName(tag)
		case g.tagged:
			f.wire = newFieldName(CamelizeKey(g.name))
		default:
			f.wire = newFieldName(wireName(g.name))
		}
		f.shape = verbatim
		if !g.quoted && !slices.Contains(strings.Split(options, ","), "keep") {
			f.shape = b.shape(g.typ)
		}
		s.byJSON[g.name] = f
		fs = append(fs, f)
	}
	if !s.opaqueOut {
		b.findClash(t, goFields, fs)
	}
	for _, f := range fs { // first the names that a publisher with this type writes: no two fields have the same
		addName(s.byName, f.wire.text, f)
		addName(s.byFold, string(appendFolded(nil, []byte(f.wire.text))), f)
	}
	for _, f := range fs {
		addName(s.byName, f.json.text, f)
		addName(s.byFold, string(appendFolded(nil, []byte(f.json.text))), f)
	}
	delete(s.byFold, "")
}

// addName keeps the first of two fields with one name, as encoding/json does.
func addName(m map[string]*shapeField, name string, f *shapeField) {
	if m[name] == nil {
		m[name] = f
	}
}

// appendFolded appends s without case and underscores. Two keys that
// encoding/json takes for the same must come out the same.
func appendFolded(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			if c != '_' {
				dst = append(dst, lowerASCII(c))
			}
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		i += n
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// foldRune returns one letter for all that differ only in case: for those that
// have an ASCII relative (K, the Kelvin sign) the lower-case ASCII letter.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if least < utf8.RuneSelf {
		return rune(lowerASCII(byte(least)))
	}
	return least
}

// wireName lowers the capitals of a Go name: the first letter, and of a run of
// capitals all but the one that begins the next word. UserIDs is userIds.
func wireName(s string) string {
	rs := []rune(s)
	var out []rune
	for i, r := range rs {
		switch {
		case r == '_':
		case len(out) > 0 && beginsWord(rs, i):
			out = append(out, unicode.ToUpper(r))
		default:
			out = append(out, unicode.ToLower(r))
		}
	}
	return string(out)
}

func beginsWord(rs []rune, i int) bool {
	if rs[i-1] == '_' {
		return true
	}
	if !unicode.IsUpper(rs[i]) {
		return false
	}
	if !unicode.IsUpper(rs[i-1]) {
		return true
	}
	rest := rs[i+1:]
	plural := len(rest) > 0 && rest[0] == 's' && (len(rest) == 1 || !unicode.IsLower(rest[1]))
	return len(rest) > 0 && unicode.IsLower(rest[0]) && !plural
}

// A goField is a field that encoding/json writes and reads, perhaps one of an
// embedded struct.
type goField struct {
	name    string
	path    string // in Go, with the names of embedded structs: base.CreatedAt
	tagged  bool   // the name comes from a json tag
	quoted  bool   // a duration with the tag option string: its value is a number in quotes
	wireTag string
	typ     reflect.Type
	index   []int
}

// goFields lists the fields of struct type t under the rules of encoding/json:
// of several with one name the least deep wins, then the tagged one; if that
// leaves two, none is used.
func goFields(t reflect.Type) []goField {
	all := allFields(t)
	slices.SortFunc(all, func(a, b goField) int {
		return cmp.Or(
			strings.Compare(a.name, b.name),
			cmp.Compare(len(a.index), len(b.index)),
			compareBool(b.tagged, a.tagged),
			slices.Compare(a.index, b.index),
		)
	})
	var out []goField
	for i, f := range all {
		if i > 0 && all[i-1].name == f.name {
			continue
		}
		if i+1 < len(all) {
			rival := all[i+1]
			if rival.name == f.name && len(rival.index) == len(f.index) && rival.tagged == f.tagged {
				continue
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b goField) int { return slices.Compare(a.index, b.index) })
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// An embedded is a struct type whose fields count as those of the outer one.
type embedded struct {
	typ   reflect.Type
	path  string // of the struct in Go, with a final dot; "" for the outer one
	index []int
	twice bool // met more than once at its depth, so its fields annul each other
}

// allFields lists the fields of t and of what it embeds, level by level.
func allFields(t reflect.Type) []goField {
	var fields []goField
	visited := map[reflect.Type]bool{}
	for level := []embedded{{typ: t}}; len(level) > 0; {
		var next []embedded
		for _, e := range level {
			if visited[e.typ] {
				continue
			}
			visited[e.typ] = true
			for i := range e.typ.NumField() {
				fields, next = addField(e, i, fields, next)
			}
		}
		level = next
	}
	return fields
}

func addField(e embedded, i int, fields []goField, next []embedded) ([]goField, []embedded) {
	sf := e.typ.Field(i)
	typ := sf.Type
	if typ.Name() == "" && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	isStruct := typ.Kind() == reflect.Struct
	tag := sf.Tag.Get("json")
	if tag == "-" || (!sf.IsExported() && (!sf.Anonymous || !isStruct)) {
		return fields, next
	}
	name, options, _ := strings.Cut(tag, ",")
	if !validName(name) {
		name = ""
	}
	quoted := typ == durationType && slices.Contains(strings.Split(options, ","), "string")
	index := append(slices.Clone(e.index), i)
	if name == "" && sf.Anonymous && isStruct {
		for n := range next {
			if next[n].typ == typ {
				next[n].twice = true
				return fields, next
			}
		}
		return fields, append(next, embedded{typ: typ, path: e.path + sf.Name + ".", index: index})
	}
	f := goField{name: cmp.Or(name, sf.Name), path: e.path + sf.Name, tagged: name != "", quoted: quoted, wireTag: sf.Tag.Get("wire"), typ: sf.Type, index: index}
	fields = append(fields, f)
	if e.twice {
		fields = append(fields, f)
	}
	return fields, next
}

// validName reports whether encoding/json accepts the name in a tag.
func validName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
