package jsonkeys

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRewritingKeepsLayoutNumbersAndEscapesOfValues(t *testing.T) {
	doc := " {\n\t\"user_id\" : 9007199254740993 ,\"big\":1e400, \"p\":1.10,\"x_y\":[ 1E+2 , -0 ,{\"a_b\":\"a_b \\u005f\\ud83d\\ude00 <&>\"}\r\n] } \n"
	want := " {\n\t\"userId\" : 9007199254740993 ,\"big\":1e400, \"p\":1.10,\"xY\":[ 1E+2 , -0 ,{\"aB\":\"a_b \\u005f\\ud83d\\ude00 <&>\"}\r\n] } \n"
	wantDocument(t, "Camelize", doc, want, Camelize, nil)
	wantDocument(t, "Underscoreize", want, doc, Underscoreize, nil)
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
