package jsonkeys

import (
	"bytes"
	"math/bits"
)

// fewMembers is up to where comparing all pairs is faster than a hash table.
const fewMembers = 8

// collides reports whether two entries from base on have keys of equal hash.
// The hash is seeded per process, so an attacker cannot prepare a document for which
// this is slow, and a chance hit only makes merge do nothing.
func (w *walker) collides(base int) bool {
	es := w.entries[base:]
	if len(es) > fewMembers {
		return w.collidesMany(es)
	}
	for i := range es {
		for j := range i {
			if es[i].hash == es[j].hash {
				return true
			}
		}
	}
	return false
}

func (w *walker) collidesMany(es []entry) bool {
	size := 1 << bits.Len(uint(2*len(es)))
	if cap(w.table) < size {
		w.table = make([]uint32, size)
	}
	table := w.table[:size]
	clear(table)
	for i := range es {
		slot := es[i].hash & uint64(size-1)
		for table[slot] != 0 {
			if es[table[slot]-1].hash == es[i].hash {
				return true
			}
			slot = (slot + 1) & uint64(size-1)
		}
		table[slot] = uint32(i + 1)
	}
	return false
}

// A place is where a member of the merged object stands, and whose value it has.
type place struct {
	first, value int // entries
}

// merge writes the object that began at start of dst again, with one member
// for each key. The result is what Python makes of it: json.loads puts the last
// value of a repeated key at the place of its first, and then the renamed keys
// do the same among each other. For a strict job that is an error.
func (w *walker) merge(base, start int) error {
	w.flush(w.pos)
	es := w.entries[base:]
	places := w.survivors(es)
	if len(places) == len(es) {
		return nil
	}
	if w.strict {
		return w.collision(es)
	}
	w.merged = append(w.merged[:0], w.dst[start:]...)
	old := func(from, to int) []byte { return w.merged[from-start : to-start] }
	dst := append(w.dst[:start], old(start, es[0].keyStart-1)...)
	for n, p := range places {
		first, value := es[p.first], es[p.value]
		if n > 0 {
			dst = append(dst, old(es[p.first-1].valEnd, first.keyStart-1)...)
		}
		dst = append(dst, old(first.keyStart-1, first.valStart)...)
		dst = append(dst, old(value.valStart, value.valEnd)...)
	}
	w.dst = append(dst, w.merged[es[len(es)-1].valEnd-start:]...)
	return nil
}

// collision returns the error for the first two entries that have the same new key.
func (w *walker) collision(es []entry) error {
	first := make(map[string]entry, len(es))
	for _, e := range es {
		key := string(unescaped(w.dst[e.keyStart:e.keyEnd]))
		one, taken := first[key]
		if taken {
			source := func(e entry) string { return string(unescaped(w.src[e.srcStart:e.srcEnd])) }
			return &CollisionError{First: source(one), Second: source(e), Wire: key}
		}
		first[key] = e
	}
	return nil
}

func (w *walker) survivors(es []entry) []place {
	bySource := make(map[string]int, len(es))
	var places []place
	for i, e := range es {
		key := string(unescaped(w.src[e.srcStart:e.srcEnd]))
		if n, ok := bySource[key]; ok {
			places[n].value = i
			continue
		}
		bySource[key] = len(places)
		places = append(places, place{i, i})
	}
	byName := make(map[string]int, len(places))
	kept := places[:0]
	for _, p := range places {
		e := es[p.first]
		key := string(unescaped(w.dst[e.keyStart:e.keyEnd]))
		n, ok := byName[key]
		if !ok {
			byName[key] = len(kept)
			kept = append(kept, p)
			continue
		}
		if e.rank >= es[kept[n].value].rank {
			kept[n].value = p.value
		}
	}
	return kept
}

func unescaped(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	return appendUnescaped(nil, s)
}
