package jsonkeys

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestRewritingKeepsLayoutNumbersAndEscapesOfValues(t *testing.T) {
	doc := " {\n\t\"user_id\" : 9007199254740993 ,\"big\":1e400, \"p\":1.10,\"x_y\":[ 1E+2 , -0 ,{\"a_b\":\"a_b \\u005f\\ud83d\\ude00 <&>\"}\r\n] } \n"
	want := " {\n\t\"userId\" : 9007199254740993 ,\"big\":1e400, \"p\":1.10,\"xY\":[ 1E+2 , -0 ,{\"aB\":\"a_b \\u005f\\ud83d\\ude00 <&>\"}\r\n] } \n"
	wantDocument(t, "Camelize", doc, want, Camelize, nil)
	wantDocument(t, "Underscoreize", want, doc, Underscoreize, nil)
}

func TestEscapesInKeysAreDecodedBeforeTheRuleApplies(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a\u005fb":1}`:         `{"aB":1}`,
		`{"a_\u0062":1}`:         `{"aB":1}`,
		`{"a_b\"\\\n\u0001/":1}`: `{"aB\"\\\n\u0001/":1}`,
		`{"a_b\b\f\r\t\/":1}`:    `{"aB\u0008\u000c\r\t/":1}`,
		`{"\u0061\/\u00e9":1}`:   `{"\u0061\/\u00e9":1}`, // unchanged, so as it was
		`{"\ud83d\ude00_b":1}`:   `{"😀B":1}`,
	} {
		wantDocument(t, "Camelize", doc, want, Camelize, nil)
	}
	wantDocument(t, "Underscoreize", `{"a\u0042":1}`, `{"a_b":1}`, Underscoreize, nil)
	wantDocument(t, "Underscoreize", `{"\u005fa":1}`, `{"a":1}`, Underscoreize, nil)
}

func TestWhenKeysCollideTheLaterValueStandsAtThePlaceOfTheFirst(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a_b":1,"c":2,"aB":3}`:                  `{"aB":3,"c":2}`,
		`{ "a_b" : 1 , "c":2, "aB" :  [3] }`:      `{ "aB" : [3] , "c":2 }`,
		`{"a":1,"\u0061":2}`:                      `{"a":2}`,
		`{"aB":1,"a_b":2,"aB":3}`:                 `{"aB":2}`, // json.loads has merged the two "aB" before
		`{"x":{"a_b":1,"aB":{"c_d":1,"cD":2}}}`:   `{"x":{"aB":{"cD":2}}}`,
		`[{"a_b":1,"aB":2},{"aB":1},{"a_b":"q"}]`: `[{"aB":2},{"aB":1},{"aB":"q"}]`,
	} {
		wantDocument(t, "Camelize", doc, want, Camelize, nil)
	}
}

func TestCollisionsAreFoundInObjectsWithManyKeys(t *testing.T) {
	var doc, want []string
	for i := range 5000 {
		doc = append(doc, fmt.Sprintf(`"key_x%d":%d`, i, i))
		want = append(want, fmt.Sprintf(`"keyX%d":%d`, i, i))
	}
	doc = append(doc, `"keyX17":"late"`)
	want[17] = `"keyX17":"late"`
	wantDocument(t, "Camelize", "{"+strings.Join(doc, ",")+"}", "{"+strings.Join(want, ",")+"}", Camelize, nil)
}

func TestByteOrderMarkIsDroppedFromWhatIsReceivedOnly(t *testing.T) {
	const bom = "\ufeff"
	wantDocument(t, "Underscoreize", bom+`{"aB":1}`, `{"a_b":1}`, Underscoreize, nil)
	if err := Valid([]byte(bom+`1`), Limits{}); err != nil {
		t.Errorf("Valid: %v", err)
	}
	for _, doc := range []string{bom, bom + bom + "1", "1" + bom} {
		if err := Valid([]byte(doc), Limits{}); err == nil {
			t.Errorf("Valid(%q) = nil", doc)
		}
	}
	if _, err := Camelize(nil, []byte(bom+`1`), nil, Limits{}); err == nil {
		t.Error("Camelize accepted a byte order mark")
	}
	var syntax *SyntaxError
	if err := Valid([]byte(bom+`!`), Limits{}); !errors.As(err, &syntax) || syntax.Offset != 3 {
		t.Errorf("the offset does not count the mark: %v", err)
	}
}

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

func TestLimitsHoldExactly(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	keys := func(n int) string { return "{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, n), ",") + "}" }
	for _, c := range []struct {
		good, bad string
		limits    Limits
		text      string
	}{
		{deep(200), deep(201), Limits{}, "json nesting deeper than 200"},
		{deep(2), deep(3), Limits{MaxDepth: 2}, "json nesting deeper than 2"},
		{keys(100_000), keys(100_001), Limits{MaxKeys: -1}, "json with more than 100000 keys"},
		{keys(3), `{"a":{"b":{"c":{"d":1}}}}`, Limits{MaxKeys: 3}, "json with more than 3 keys"},
		{`"12345"`, `"123456"`, Limits{MaxBytes: 7}, "json longer than 7 bytes"},
		{strings.Repeat(" ", 8<<20-1) + "1", strings.Repeat(" ", 8<<20) + "1", Limits{}, "json longer than 8388608 bytes"},
		{strings.Repeat("1", 4300), strings.Repeat("1", 4301), Limits{}, "json number longer than 4300 characters"},
	} {
		if err := Valid([]byte(c.good), c.limits); err != nil {
			t.Errorf("just within the limit: %v (want %s for more)", err, c.text)
		}
		var limit *LimitError
		if err := Valid([]byte(c.bad), c.limits); !errors.As(err, &limit) || err.Error() != c.text {
			t.Errorf("just beyond the limit: %v, want %s", err, c.text)
		}
	}
}

func TestDepthIsUnlimitedForWhomAsksForIt(t *testing.T) {
	doc := strings.Repeat(`{"a_b":`, 9000) + "1" + strings.Repeat("}", 9000)
	want := strings.ReplaceAll(doc, "a_b", "aB")
	got, err := Camelize(nil, []byte(doc), nil, Limits{MaxDepth: math.MaxInt})
	if err != nil || string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestMembersYieldsEachMemberOfTheTopLevelInOrder(t *testing.T) {
	const doc = "\ufeff { \"eventId\" : 7 ,\"p\\u0061yload\":{\"a\":{\"b\":[ 1 ]}} , \"x\":\"\", \"x\":null}\n"
	var got []string
	err := Members([]byte(doc), Limits{}, func(key string, value []byte) error {
		got = append(got, key+"="+string(value))
		return nil
	})
	want := `eventId=7|payload={"a":{"b":[ 1 ]}}|x=""|x=null`
	if err != nil || strings.Join(got, "|") != want {
		t.Errorf("got %s, %v\nwant %s", strings.Join(got, "|"), err, want)
	}
}

func TestMembersChecksTheWholeDocumentBeforeTheFirstMember(t *testing.T) {
	for doc, problem := range map[string]string{
		`{"a":1,"b":[1,]}`:      `unexpected ']'`,
		`{"a":1} x`:             `unexpected 'x'`,
		`{"a":1,"b":"\ud800"}`:  "string with lone surrogate",
		`[1]`:                   "not an object",
		` null`:                 "not an object",
		`{"a":{"b":1},"b":nan}`: `unexpected 'a'`,
	} {
		err := Members([]byte(doc), Limits{}, func(string, []byte) error {
			t.Errorf("%s: a member of a bad document was yielded", doc)
			return nil
		})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Problem != problem {
			t.Errorf("%s: %v, want %s", doc, err, problem)
		}
	}
}

func TestMembersStopsAtTheErrorOfYield(t *testing.T) {
	stop, calls := errors.New("stop"), 0
	err := Members([]byte(`{"a":1,"b":2}`), Limits{}, func(string, []byte) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestMembersMayBeUsedInsideMembers(t *testing.T) {
	var got []string
	err := Members([]byte(`{"a":{"b\u005f":1},"c\u005f":{"d":2}}`), Limits{}, func(outer string, v []byte) error {
		return Members(v, Limits{}, func(inner string, _ []byte) error {
			got = append(got, outer+"."+inner)
			return nil
		})
	})
	if s := strings.Join(got, " "); err != nil || s != "a.b_ c_.d" {
		t.Errorf("%q, %v", s, err)
	}
}

func TestRewritingAllocatesNothingPerKey(t *testing.T) {
	var doc strings.Builder
	doc.WriteString(`{"z":0`)
	for i := range 2000 {
		fmt.Fprintf(&doc, `,"key_number_%d":{"camelCase":%d}`, i, i)
	}
	doc.WriteString("}")
	src, dst := []byte(doc.String()), make([]byte, 0, 2*doc.Len())
	for name, f := range map[string]rewriter{"Camelize": Camelize, "Underscoreize": Underscoreize} {
		n := testing.AllocsPerRun(20, func() {
			if _, err := f(dst, src, nil, Limits{}); err != nil {
				t.Fatal(err)
			}
		})
		if n > 50 { // the pool may be emptied meanwhile
			t.Errorf("%s: %.0f allocations for 4000 keys", name, n)
		}
	}
}

func TestErrorsSurviveWrapping(t *testing.T) {
	err := fmt.Errorf("parley: read body: %w", Valid([]byte(`{"a":1`), Limits{}))
	if want := "parley: read body: invalid json at byte 6: unexpected end"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if json.Valid([]byte(`{"a":1`)) {
		t.Error("encoding/json disagrees")
	}
}
