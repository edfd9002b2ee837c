package jsonkeys

import (
	"bytes"
	"hash/maphash"
)

// A walker goes over one document. What it does not change it does not touch:
// src[copied:pos] waits until a key has to be written differently, so that a
// document without such keys is copied in one piece.
type walker struct {
	job
	src     []byte // the document without its byte order mark
	skipped int    // length of that mark
	dst     []byte
	pos     int
	copied  int // src[:copied] is in dst
	depth   int
	keys    int

	entries []entry  // members of the objects that are open now, innermost last
	table   []uint32 // hash table for objects with many members
	members []member // for job.collect

	ignored bool  // below one of the options' IgnoreFields
	reads   bool  // in a value whose type reads its own JSON: there the keys of fields are data
	enters  bool  // the value of the current key is
	notes   notes // for Encode
	special bool  // fields need more than their new name

	back    []byte // a key as a reader by the rules gets it
	plain   []byte // a key without escapes
	renamed []byte // a key under the new name
	merged  []byte // an object in which two keys became one
	folded  []byte // a key without case and underscores
}

// An entry remembers a member, for the case that another one gets its name.
// Positions are those of dst after a flush, where they do not say otherwise.
type entry struct {
	hash             uint64 // of the new key without escapes
	keyStart, keyEnd int    // between the quotes
	valStart, valEnd int
	srcStart, srcEnd int  // the old key in src
	rank             rank // how well the key fits its field
}

// A member is a member of the top-level object; positions are those of src.
type member struct {
	keyStart, keyEnd int
	valStart, valEnd int
	escaped          bool
}

var (
	seed = maphash.MakeSeed()
	mark = []byte("\xef\xbb\xbf")
)

func (w *walker) start(dst, src []byte, j job) error {
	w.job = j
	w.limits = j.limits.orDefaults()
	w.special = w.notes.names != nil || j.opts.hasExceptions()
	if len(src) > w.limits.MaxBytes {
		return &LimitError{What: "bytes", Limit: w.limits.MaxBytes}
	}
	w.src, w.dst = src, dst
	if j.bom && bytes.HasPrefix(src, mark) {
		w.skipped = len(mark)
		w.src = src[w.skipped:]
	}
	return nil
}

// release gives w back to the pool, without the caller's buffers and without
// buffers that one huge document made huge.
func (w *walker) release() {
	const keep = 1 << 16
	fresh := walker{}
	if cap(w.entries) <= keep/8 {
		fresh.entries = w.entries[:0]
	}
	if cap(w.table) <= keep/4 {
		fresh.table = w.table[:0]
	}
	if cap(w.members) <= keep/8 {
		fresh.members = w.members[:0]
	}
	if cap(w.plain)+cap(w.renamed)+cap(w.folded)+cap(w.back) <= keep {
		fresh.plain, fresh.renamed, fresh.folded, fresh.back = w.plain, w.renamed, w.folded, w.back
	}
	*w = fresh
	walkers.Put(w)
}

// run goes over the document; the result is in w.dst.
func (w *walker) run(dst, src []byte, j job) error {
	if err := w.start(dst, src, j); err != nil {
		return err
	}
	if err := w.document(); err != nil {
		return err
	}
	if !j.discard {
		w.flush(len(w.src))
	}
	return nil
}

// flush moves src up to i into dst.
func (w *walker) flush(i int) {
	w.dst = append(w.dst, w.src[w.copied:i]...)
	w.copied = i
}

// out is the position in dst that src[i] will have; i is not below copied.
func (w *walker) out(i int) int { return len(w.dst) + i - w.copied }

func (w *walker) document() error {
	w.space()
	start := w.pos
	if err := w.value(w.shape); err != nil {
		return err
	}
	w.space()
	if w.pos < len(w.src) {
		return w.unexpected(w.pos)
	}
	if w.collect && w.src[start] != '{' {
		return w.syntax(start, "not an object")
	}
	return nil
}

func (w *walker) space() {
	i := w.pos
	for i < len(w.src) {
		if c := w.src[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			break
		}
		i++
	}
	w.pos = i
}

// value goes over the value at pos, which has no space before it.
func (w *walker) value(s *Shape) error {
	start, outer := w.pos, w.reads
	w.reads = outer || s != nil && s.opaqueIn && w.dir == toCamel
	err := w.anyValue(s)
	w.reads = outer
	if err != nil || s == nil || !s.isScalar() {
		return err
	}
	text, changed, err := w.convert(s, start)
	if changed {
		w.flush(start)
		w.dst = append(w.dst, text...)
		w.copied = w.pos
	}
	return err
}

func (w *walker) anyValue(s *Shape) (err error) {
	switch c := w.at(w.pos); c {
	case '{':
		return w.object(s.asObject(w))
	case '[':
		return w.array(s.asArray(w))
	case '"':
		w.pos, err = w.text(w.pos)
	case 't':
		w.pos, err = w.literal(w.pos, "true")
	case 'f':
		w.pos, err = w.literal(w.pos, "false")
	case 'n':
		w.pos, err = w.literal(w.pos, "null")
	default:
		w.pos, err = w.number(w.pos)
	}
	return err
}

// enter steps into an object or array and reports whether it is empty.
func (w *walker) enter(closing byte) (empty bool, err error) {
	if w.depth == w.limits.MaxDepth {
		return false, &LimitError{What: "depth", Limit: w.limits.MaxDepth}
	}
	w.depth++
	w.pos++
	w.space()
	if w.at(w.pos) != closing {
		return false, nil
	}
	w.leave()
	return true, nil
}

func (w *walker) leave() {
	w.depth--
	w.pos++
}

func (w *walker) array(elem *Shape) error {
	empty, err := w.enter(']')
	if empty || err != nil {
		return err
	}
	for {
		if err := w.value(elem); err != nil {
			return err
		}
		more, err := w.next(']')
		if !more || err != nil {
			return err
		}
	}
}

// next steps over the comma and the space behind it, or out of the object or array.
func (w *walker) next(closing byte) (more bool, err error) {
	w.space()
	switch w.at(w.pos) {
	case ',':
		w.pos++
		w.space()
		return true, nil
	case closing:
		w.leave()
		return false, nil
	default:
		return false, w.unexpected(w.pos)
	}
}

func (w *walker) object(s *Shape) error {
	start, base := w.out(w.pos), len(w.entries)
	empty, err := w.enter('}')
	if empty || err != nil {
		return err
	}
	for more := true; more; {
		if s == verbatim {
			err = w.verbatimMember()
		} else {
			err = w.member(s)
		}
		if err != nil {
			return err
		}
		if more, err = w.next('}'); err != nil {
			return err
		}
	}
	if w.collides(base) {
		err = w.merge(base, start)
	}
	w.entries = w.entries[:base]
	return err
}

// member goes over the member at pos and rewrites its key.
func (w *walker) member(s *Shape) error {
	start := w.pos
	classes, err := w.memberKey()
	if err != nil {
		return err
	}
	keyEnd := w.pos - 1
	if err := w.colon(); err != nil {
		return err
	}
	child := w.rename(s, start+1, keyEnd, classes)
	i := len(w.entries) - 1
	w.entries[i].valStart = w.out(w.pos)
	outer := w.ignored
	w.ignored, w.enters = outer || w.enters, false
	if err := w.value(child); err != nil {
		return err
	}
	w.ignored = outer
	w.entries[i].valEnd = w.out(w.pos)
	return nil
}

func (w *walker) verbatimMember() error {
	start := w.pos
	classes, err := w.memberKey()
	if err != nil {
		return err
	}
	keyEnd := w.pos - 1
	if w.notes.on {
		name := w.name(start+1, keyEnd, classes)
		w.noteData(name, name, classes)
	}
	if err := w.colon(); err != nil {
		return err
	}
	valStart := w.pos
	if err := w.value(verbatim); err != nil {
		return err
	}
	if w.collect && w.depth == 1 {
		w.members = append(w.members, member{start + 1, keyEnd, valStart, w.pos, classes&isBackslash != 0})
	}
	return nil
}

// memberKey steps over the key at pos.
func (w *walker) memberKey() (classes byte, err error) {
	if w.at(w.pos) != '"' {
		return 0, w.unexpected(w.pos)
	}
	if w.keys == w.limits.MaxKeys {
		return 0, &LimitError{What: "keys", Limit: w.limits.MaxKeys}
	}
	w.keys++
	w.pos, classes, err = w.key(w.pos)
	return classes, err
}

// colon steps over the colon and the space around it.
func (w *walker) colon() error {
	w.space()
	if w.at(w.pos) != ':' {
		return w.unexpected(w.pos)
	}
	w.pos++
	w.space()
	return nil
}
