package jsonkeys

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// appendUnescaped appends the text of the string content s. Its escapes have
// been checked.
func appendUnescaped(dst, s []byte) []byte {
	for len(s) > 0 {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:n]...)
		s = s[n:]
		if s[1] != 'u' {
			dst = append(dst, unescapedByte(s[1]))
			s = s[2:]
			continue
		}
		r, _ := hex4(s)
		s = s[6:]
		if r >= 0xd800 && r < 0xe000 {
			low, ok := hex4(s)
			if r < 0xdc00 && ok && low >= 0xdc00 && low < 0xe000 {
				r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
				s = s[6:]
			} // else it is alone, and is written as U+FFFD
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func unescapedByte(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default: // quote, slash, backslash
		return c
	}
}

// appendEscaped appends s as the content of a JSON string, with the escapes
// that are necessary and no more.
func appendEscaped(dst, s []byte) []byte {
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		}
	}
	return dst
}

// checkUTF8 looks at the content src[start:end] of a string.
func (w *walker) checkUTF8(start, end int, what string) error {
	s := w.src[start:end]
	if utf8.Valid(s) {
		return nil
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			return w.badString(what, start, start+i, "invalid UTF-8")
		}
		i += n
	}
	return nil
}

// badString says what is wrong at i with the string that began at start. It
// quotes the beginning of a key, never of a value: bodies do not belong in logs.
func (w *walker) badString(what string, start, i int, problem string) error {
	if what != "key" {
		return w.syntax(i, what+" with "+problem)
	}
	end := min(i+6, start+40, len(w.src))
	return w.syntax(i, fmt.Sprintf("key %q: %s", w.src[start:end], problem))
}

// unexpected says that the byte at i cannot stand there.
func (w *walker) unexpected(i int) error {
	if i >= len(w.src) {
		return w.syntax(len(w.src), "unexpected end")
	}
	if c := w.src[i]; c < 0x20 || c >= 0x7f {
		return w.syntax(i, fmt.Sprintf("unexpected byte 0x%02x", c))
	}
	return w.syntax(i, fmt.Sprintf("unexpected %q", w.src[i]))
}

func (w *walker) syntax(i int, problem string) error {
	return &SyntaxError{Offset: int64(i + w.skipped), Problem: problem}
}
