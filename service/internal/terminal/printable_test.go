package terminal

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPrintedTextCannotSteerATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain ünïcode €": "plain ünïcode €", "\x1b[2J\r\n\t\a": `\x1b[2J\r\n\t\a`, "\u009b2J": `\u009b2J`,
		"a\u202eb": `a\u202eb`, "bad\xffutf": `bad\xffutf`, "del\x7f": `del\x7f`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("Printable(%q) is %q, want %q", text, got, want)
		}
	}
	var out strings.Builder
	if err := WriteJSON(&out, object{"body": json.RawMessage("\"\u009b\u202e\U000E0001\"")}); err != nil {
		t.Fatal(err)
	}
	if want := `{"body":"\u009b\u202e\udb40\udc01"}` + "\n"; out.String() != want {
		t.Errorf("JSON is %q, want %q", out.String(), want)
	}
}

func FuzzPrintedTextIsSafe(f *testing.F) {
	f.Add("\x1b[2J\u009b\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Printable(text); strings.IndexFunc(got, Unsafe) >= 0 {
			t.Errorf("Printable(%q) is %q", text, got)
		}
	})
}
