package jsonkeys

import (
	"errors"
	"testing"
)

func TestWhatMustNotTravelIsRefusedWithItsPlaceAndReason(t *testing.T) {
	for _, c := range []struct {
		doc    string
		offset int64
		text   string
	}{
		{``, 0, "unexpected end"},
		{` `, 1, "unexpected end"},
		{`{"a":NaN}`, 5, `unexpected 'N'`},
		{`[-Infinity]`, 2, `unexpected 'I'`},
		{`{"a":1,}`, 7, `unexpected '}'`},
		{`[1,]`, 3, `unexpected ']'`},
		{`{"a" 1}`, 5, `unexpected '1'`},
		{`{a:1}`, 1, `unexpected 'a'`},
		{`[1 2]`, 3, `unexpected '2'`},
		{`1 2`, 2, `unexpected '2'`},
		{`tru`, 3, "unexpected end"},
		{`nulL`, 3, `unexpected 'L'`},
		{`01`, 1, `unexpected '1'`},
		{`1.`, 2, "unexpected end"},
		{`1e+`, 3, "unexpected end"},
		{`-`, 1, "unexpected end"},
		{`+1`, 0, `unexpected '+'`},
		{"\x00", 0, "unexpected byte 0x00"},
		{`"abc`, 4, "unexpected end"},
		{`"abcdefghijkl`, 13, "unexpected end"},
		{`{"abc`, 5, "unexpected end"},
		{"\"tab\t\"", 4, "string with control character"},
		{"\"\x1f long enough\"", 1, "string with control character"},
		{"{\"tab\t\":1}", 5, `key "tab\t\":1}": control character`},
		{`"\x"`, 1, "string with unknown escape"},
		{`"\`, 1, "string with unfinished escape"},
		{`"\u12"`, 1, `string with malformed \u escape`},
		{`"\u0000"`, 1, "string with character U+0000"},
		{`{"a\u0000":1}`, 3, `key "a\\u0000": character U+0000`},
		{`"long enough \ud800"`, 13, "string with lone surrogate"},
		{`"\ud800\ud800"`, 1, "string with lone surrogate"},
		{`"\udc00\ud800"`, 1, "string with lone surrogate"},
		{`{"a\ud800":1}`, 3, `key "a\\ud800": lone surrogate`},
		{"\"good\xff\"", 5, "string with invalid UTF-8"},
		{"\"\xed\xa0\x80\"", 1, "string with invalid UTF-8"},
		{"{\"\xff\":1}", 2, `key "\xff\":1}": invalid UTF-8`},
	} {
		wantSyntaxError(t, c.doc, c.offset, c.text)
	}
}

func wantSyntaxError(t *testing.T, doc string, offset int64, problem string) {
	t.Helper()
	var syntax *SyntaxError
	if err := Valid([]byte(doc), Limits{}); !errors.As(err, &syntax) {
		t.Errorf("Valid(%q) = %v, want a SyntaxError", doc, err)
		return
	}
	if syntax.Offset != offset || syntax.Problem != problem {
		t.Errorf("Valid(%q): %q at %d, want %q at %d", doc, syntax.Problem, syntax.Offset, problem, offset)
	}
	dst := []byte("as it was")
	for name, f := range map[string]rewriter{"Camelize": Camelize, "Underscoreize": Underscoreize} {
		got, err := f(dst, []byte(doc), nil, Limits{})
		if err == nil || string(got) != "as it was" {
			t.Errorf("%s(%q) = %q, %v", name, doc, got, err)
		}
	}
}
