package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// printable makes text from others safe for a terminal: control characters, line ends
// among them, and characters that change the direction of writing are shown as escapes.
func printable(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && s[i] != "\uFFFD"[0]:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])+0x100, 16)[1:]) // not UTF-8
		case unsafeRune(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// printableBody indents JSON, and makes anything safe for a terminal.
func printableBody(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		return printable(string(body))
	}
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// writeJSON writes value as one line of JSON that is safe for a terminal: what printable
// escapes is escaped here as JSON does it.
func writeJSON(w io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if bytes.IndexFunc(text, unsafeRune) >= 0 {
		var b bytes.Buffer
		for _, r := range string(text) { // such characters are within strings only
			switch {
			case !unsafeRune(r):
				b.WriteRune(r)
			case r > 0xffff:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
			default:
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		}
		text = b.Bytes()
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
