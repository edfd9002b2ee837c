package jsonkeys

import "testing"

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
