package jsonkeys

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func TestDocumentsComeOutAsTheOriginalLibraryWritesThem(t *testing.T) {
	c := load[casing](t, "testdata/casing.json")
	compared := checkDocuments(t, c.Documents, nil)
	for _, o := range c.Options {
		u := o.Settings.Underscoreize
		compared += checkDocuments(t, o.Documents, &Options{
			IgnoreKeys:               u.IgnoreKeys,
			IgnoreFields:             u.IgnoreFields,
			NoUnderscoreBeforeNumber: u.NoUnderscoreBeforeNumber,
		})
	}
	if compared < 38 {
		t.Errorf("compared only %d documents", compared)
	}
}

// checkDocuments skips documents with Python objects ("$bytes"), for which JSON
// has no form.
func checkDocuments(t *testing.T, docs []casingDocument, o *Options) (compared int) {
	t.Helper()
	for _, d := range docs {
		if bytes.Contains(d.Doc, []byte(`"$`)) {
			continue
		}
		compared++
		doc := compact(t, d.Doc)
		wantDocument(t, "Camelize", doc, compact(t, d.Camelize), Camelize, o)
		wantDocument(t, "Underscoreize", doc, compact(t, d.Underscoreize), Underscoreize, o)
	}
	return compared
}

func TestRandomDocumentsComeOutAsPythonDictsDo(t *testing.T) {
	p := load[pythonCorpus](t, "testdata/python.json")
	if len(p.Documents) < 80 {
		t.Fatalf("only %d documents in the corpus", len(p.Documents))
	}
	for _, d := range p.Documents {
		wantSameDocument(t, "Camelize", d[0], d[1], Camelize)
		wantSameDocument(t, "Underscoreize", d[0], d[2], Underscoreize)
	}
}

func wantDocument(t *testing.T, what, doc, want string, f rewriter, o *Options) {
	t.Helper()
	got, err := f([]byte("before"), []byte(doc), o, Limits{})
	if err != nil || string(got) != "before"+want {
		t.Errorf("%s(%s, %+v)\n got %s, %v\nwant before%s", what, doc, o, got, err, want)
	}
}

// wantSameDocument ignores which characters are escaped in keys, but nothing else.
func wantSameDocument(t *testing.T, what, doc, want string, f rewriter) {
	t.Helper()
	got, err := f(nil, []byte(doc), nil, Limits{})
	if err != nil {
		t.Errorf("%s(%s): %v", what, doc, err)
		return
	}
	if g, w := reencode(t, got), reencode(t, []byte(want)); g != w {
		t.Errorf("%s(%s)\n got %s\nwant %s", what, doc, g, w)
	}
}

func compact(t *testing.T, doc []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, doc); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUntypedPayloadsFollowTheOriginalLibrary(t *testing.T) {
	const snake, camel = `{"a_b":{"item_1":[{"c_d":"e_f"}]}}`, `{"aB":{"item1":[{"cD":"e_f"}]}}`
	for _, typ := range []reflect.Type{nil, reflect.TypeFor[any](), reflect.TypeFor[map[string]any](), reflect.TypeFor[*map[string]any]()} {
		if ShapeOf(typ) != nil {
			t.Errorf("%v has a shape", typ)
		}
		if got := toWire(t, typ, snake); got != camel {
			t.Errorf("ToWire of %v: %s", typ, got)
		}
		if got := fromWire(t, typ, camel); got != snake {
			t.Errorf("FromWire of %v: %s", typ, got)
		}
	}
}

func TestRawPayloadsAreCamelizedButReceivedUntouched(t *testing.T) {
	type bytesType []byte
	for _, typ := range []reflect.Type{reflect.TypeFor[json.RawMessage](), reflect.TypeFor[[]byte](), reflect.TypeFor[bytesType](), reflect.TypeFor[*json.RawMessage]()} {
		if got := toWire(t, typ, `{"a_b":[{"c_d":1}]}`); got != `{"aB":[{"cD":1}]}` {
			t.Errorf("ToWire of %v: %s", typ, got)
		}
		const doc = ` {"aB":1,"aB":[{"cD":2}]}`
		if got := fromWire(t, typ, doc); got != doc {
			t.Errorf("FromWire of %v: %s", typ, got)
		}
		if _, err := ShapeOf(typ).FromWire(nil, []byte(`{"a":"\ud800"}`), Limits{}); err == nil {
			t.Errorf("FromWire of %v does not check the document", typ)
		}
	}
}
