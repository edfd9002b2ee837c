package jsonkeys

import (
	"unicode"
	"unicode/utf8"
)

// lowerWide lowers dst[start:] as Python's str.lower does. It differs from
// bytes.ToLower in two letters: the Turkish dotted capital I becomes two
// characters, and a capital sigma at the end of a word becomes the final one.
// ASCII letters are lower already, and changing them first is safe: upper and
// lower case are both "cased" to the sigma.
func lowerWide(dst []byte, start int) []byte {
	var buf [64]byte
	s := append(buf[:0], dst[start:]...)
	dst = dst[:start]
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		switch r {
		case 'İ':
			dst = append(dst, "i\u0307"...)
		case 'Σ':
			dst = utf8.AppendRune(dst, lowerSigma(s[:i], s[i+n:]))
		default:
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += n
	}
	return dst
}

// lowerSigma implements the condition Final_Sigma of Unicode's SpecialCasing:
// a cased letter before and none after, not counting case-ignorable characters.
func lowerSigma(before, after []byte) rune {
	for len(before) > 0 {
		r, n := utf8.DecodeLastRune(before)
		before = before[:len(before)-n]
		if caseIgnorable(r) {
			continue
		}
		if !cased(r) {
			return 'σ'
		}
		return finalUnlessCased(after)
	}
	return 'σ'
}

func finalUnlessCased(after []byte) rune {
	for len(after) > 0 {
		r, n := utf8.DecodeRune(after)
		after = after[n:]
		if caseIgnorable(r) {
			continue
		}
		if cased(r) {
			return 'σ'
		}
		return 'ς'
	}
	return 'ς'
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

// caseIgnorable is Unicode's property Case_Ignorable: marks, formats, modifiers
// and the punctuation that stands inside words.
func caseIgnorable(r rune) bool {
	switch r {
	case '\'', '.', ':', '·', '\u0387', '\u055f', '\u05f4', '\u2018', '\u2019', '\u2024', '\u2027',
		'\ufe13', '\ufe52', '\ufe55', '\uff07', '\uff0e', '\uff1a':
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}
