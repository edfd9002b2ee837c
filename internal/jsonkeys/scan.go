package jsonkeys

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Classes of bytes. The upper three end the quick scan of a key.
const (
	isLower byte = 1 << iota
	isUpper
	isDigit
	isUnderscore
	isWide // part of a multi-byte character
	isQuote
	isBackslash
	isControl

	endsRun = isQuote | isBackslash | isControl
)

var class = func() (t [256]byte) {
	for c := range t {
		switch {
		case c < 0x20:
			t[c] = isControl
		case 'a' <= c && c <= 'z':
			t[c] = isLower
		case 'A' <= c && c <= 'Z':
			t[c] = isUpper
		case '0' <= c && c <= '9':
			t[c] = isDigit
		case c >= utf8.RuneSelf:
			t[c] = isWide
		}
	}
	t['_'], t['"'], t['\\'] = isUnderscore, isQuote, isBackslash
	return t
}()

// key scans the string whose opening quote is at i. It returns the index past
// its closing quote and the classes of all its bytes, isBackslash among them if
// it has escapes.
func (w *walker) key(i int) (end int, classes byte, err error) {
	src := w.src
	start := i + 1
	for i = start; i < len(src); i++ {
		c := class[src[i]]
		if c&endsRun == 0 {
			classes |= c
			continue
		}
		switch c {
		case isQuote:
			if classes&isWide != 0 {
				err = w.checkUTF8(start, i, "key")
			}
			return i + 1, classes, err
		case isBackslash:
			classes |= isBackslash
			n, problem := w.escape(src[i:])
			if problem != "" {
				return i, classes, w.badString("key", start, i, problem)
			}
			i += n - 1
		default:
			return i, classes, w.badString("key", start, i, "control character")
		}
	}
	return i, classes, w.unexpected(i)
}

// text scans a string value: its opening quote is at i, the result is the index
// past the closing one. Eight bytes at a time, since values are long.
func (w *walker) text(i int) (int, error) {
	src := w.src
	start := i + 1
	wide := uint64(0)
	for i = start; i < len(src); {
		for i+8 <= len(src) {
			x := binary.LittleEndian.Uint64(src[i:])
			wide |= x
			if stop := stops(x); stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i == len(src) {
			break
		}
		switch c := class[src[i]]; {
		case c&endsRun == 0:
			wide |= uint64(src[i])
			i++
		case c == isQuote:
			if wide&highBits == 0 {
				return i + 1, nil
			}
			return i + 1, w.checkUTF8(start, i, "string")
		case c == isBackslash:
			n, problem := w.escape(src[i:])
			if problem != "" {
				return i, w.badString("string", start, i, problem)
			}
			i += n
		default:
			return i, w.badString("string", start, i, "control character")
		}
	}
	return i, w.unexpected(i)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// stops sets the high bit of each byte of x that is a quote, a backslash or
// below 0x20. Bytes behind the first one set may be set wrongly.
func stops(x uint64) uint64 {
	quote := x ^ '"'*lowBits
	slash := x ^ '\\'*lowBits
	found := (x-0x20*lowBits)&^x | (quote-lowBits)&^quote | (slash-lowBits)&^slash
	return found & highBits
}

// escape checks the escape sequence that s starts with and returns its length,
// that of both halves for a surrogate pair.
func (w *walker) escape(s []byte) (n int, problem string) {
	if len(s) < 2 {
		return 0, "unfinished escape"
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, ""
	case 'u':
	default:
		return 0, "unknown escape"
	}
	r, ok := hex4(s)
	switch {
	case !ok:
		return 0, `malformed \u escape`
	case r == 0:
		return 0, "character U+0000"
	case r < 0xd800 || r > 0xdfff:
		return 6, ""
	}
	if low, ok := hex4(s[6:]); r < 0xdc00 && ok && low >= 0xdc00 && low <= 0xdfff {
		return 12, ""
	}
	if w.limits.LoneSurrogates {
		return 6, ""
	}
	return 0, "lone surrogate"
}

// hex4 reads the \uXXXX that s starts with.
func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number scans the number at i and returns the index past it.
func (w *walker) number(i int) (int, error) {
	start := i
	if w.at(i) == '-' {
		i++
	}
	if w.at(i) == '0' {
		i++
	} else if n := w.digits(i); n > i {
		i = n
	} else {
		return i, w.unexpected(i)
	}
	if w.at(i) == '.' {
		n := w.digits(i + 1)
		if n == i+1 {
			return n, w.unexpected(n)
		}
		i = n
	}
	if c := w.at(i); c == 'e' || c == 'E' {
		i++
		if c := w.at(i); c == '+' || c == '-' {
			i++
		}
		n := w.digits(i)
		if n == i {
			return n, w.unexpected(n)
		}
		i = n
	}
	if i-start > maxNumber {
		return i, &LimitError{What: "number", Limit: maxNumber}
	}
	return i, nil
}

func (w *walker) digits(i int) int {
	for i < len(w.src) && class[w.src[i]]&isDigit != 0 {
		i++
	}
	return i
}

func (w *walker) literal(i int, word string) (int, error) {
	for n := range len(word) {
		if w.at(i+n) != word[n] {
			return i, w.unexpected(i + n)
		}
	}
	return i + len(word), nil
}

// at returns the byte at i, 0 past the end: no JSON syntax expects a 0.
func (w *walker) at(i int) byte {
	if i < len(w.src) {
		return w.src[i]
	}
	return 0
}
