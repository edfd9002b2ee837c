package console

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes text of others safe to read: control characters, and characters that have no width or change the writing direction,
// become escapes. html/template escapes the rest.
func printable(s string) string { return escaped(s, false) }

// printableBody is printable, but keeps line ends and tabs.
func printableBody(s string) string { return escaped(s, true) }

func escaped(s string, lines bool) string {
	if strings.IndexFunc(s, unsafeRune) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])+0x100, 16)[1:])
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
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// shownBody is the most bytes of a body on a page; the download has all.
const shownBody = 64 << 10

// bodyText returns a body as a page shows it: JSON indented, long bodies cut.
func bodyText(body []byte) (text string, cut bool) {
	var out bytes.Buffer
	if len(body) <= shownBody && json.Indent(&out, body, "", "  ") == nil {
		body = out.Bytes()
	}
	if len(body) > shownBody {
		body, cut = body[:shownBody], true
	}
	return printableBody(string(body)), cut
}
