package sqlstore

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf16"
)

// djangoTags returns tags as Python's json.dumps writes them, or nil without tags. MariaDB's JSON_CONTAINS, which
// Django uses to cancel by tags, compares texts with their escapes: "é" is not equal to "\u00e9".
func djangoTags(tags map[string]string) any {
	if len(tags) == 0 {
		return nil
	}
	text := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(tags)) {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = appendPythonString(text, name)
		text = append(text, ": "...)
		text = appendPythonString(text, tags[name])
	}
	return string(append(text, '}'))
}

// appendPythonString appends s as a JSON string in ASCII.
func appendPythonString(dst []byte, s string) []byte {
	const short = "\"\"\\\\\nn\rr\tt\ff\bb"
	dst = append(dst, '"')
next:
	for _, r := range s {
		for i := 0; i < len(short); i += 2 {
			if r == rune(short[i]) {
				dst = append(dst, '\\', short[i+1])
				continue next
			}
		}
		switch {
		case r >= ' ' && r <= '~':
			dst = append(dst, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return append(dst, '"')
}
