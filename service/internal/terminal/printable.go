// Package terminal makes untrusted text safe to print.
package terminal

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Printable makes untrusted text safe for a terminal. Control characters, including line ends, and characters without width or that
// change the writing direction are replaced by escapes.
func Printable(s string) string {
	if strings.IndexFunc(s, Unsafe) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && s[i] != "\uFFFD"[0]:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])+0x100, 16)[1:]) // not UTF-8
		case Unsafe(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Unsafe reports whether a character must be escaped for a terminal.
func Unsafe(r rune) bool {
	return unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// PrintableBody returns a body that is safe for a terminal. It indents JSON.
func PrintableBody(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		return Printable(string(body))
	}
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// WriteJSON writes value as one line of JSON that is safe for a terminal. It escapes the same characters as Printable, with JSON's
// escapes. A value that JSON cannot represent is written as a text, so that no message can end the output.
func WriteJSON(w io.Writer, value any) error {
	text, err := json.Marshal(jsonValue(value))
	if err != nil {
		return err
	}
	_, err = w.Write(append(escapeJSON(text), '\n'))
	return err
}
