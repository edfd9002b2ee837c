package jsonkeys

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

type casing struct {
	Keys []struct {
		Key                     string
		Camelize, Underscoreize string
		SnakeOfCamel            string `json:"underscoreize_of_camelize"`
		CamelOfSnake            string `json:"camelize_of_underscoreize"`
	}
	Exhaustive [][3]string      `json:"keys_exhaustive_alphabet_aB1_up_to_4"`
	Documents  []casingDocument `json:"documents"`
	Options    []struct {
		Settings struct {
			Underscoreize struct {
				NoUnderscoreBeforeNumber bool     `json:"no_underscore_before_number"`
				IgnoreFields             []string `json:"ignore_fields"`
				IgnoreKeys               []string `json:"ignore_keys"`
			} `json:"JSON_UNDERSCOREIZE"`
		} `json:"JSON_CAMEL_CASE"`
		Documents []casingDocument `json:"documents"`
	}
}

type casingDocument struct {
	Doc, Camelize, Underscoreize json.RawMessage
}

// pythonCorpus is what testdata/python.py wrote.
type pythonCorpus struct {
	Keys      [][4]string // key, camel, snake, snake without numbers
	Documents [][3]string // JSON text, compact camel, compact snake
}

func load[T any](t testing.TB, file string) (v T) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

func wantKey(t *testing.T, what, key, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s(%q) = %q, Python says %q", what, key, got, want)
	}
}

func TestKeysComeOutAsTheOriginalLibraryWritesThem(t *testing.T) {
	c := load[casing](t, "testdata/casing.json")
	if len(c.Keys) < 300 || len(c.Exhaustive) < 300 {
		t.Fatalf("only %d and %d keys in the vectors", len(c.Keys), len(c.Exhaustive))
	}
	for _, k := range c.Keys {
		camel, snake := CamelizeKey(k.Key), UnderscoreizeKey(k.Key, false)
		wantKey(t, "CamelizeKey", k.Key, camel, k.Camelize)
		wantKey(t, "UnderscoreizeKey", k.Key, snake, k.Underscoreize)
		wantKey(t, "UnderscoreizeKey", camel, UnderscoreizeKey(camel, false), k.SnakeOfCamel)
		wantKey(t, "CamelizeKey", snake, CamelizeKey(snake), k.CamelOfSnake)
	}
	for _, k := range c.Exhaustive {
		wantKey(t, "CamelizeKey", k[0], CamelizeKey(k[0]), k[1])
		wantKey(t, "UnderscoreizeKey", k[0], UnderscoreizeKey(k[0], false), k[2])
	}
}

func TestRandomKeysComeOutAsPythonsExpressionsWriteThem(t *testing.T) {
	p := load[pythonCorpus](t, "testdata/python.json")
	if len(p.Keys) < 1500 {
		t.Fatalf("only %d keys in the corpus", len(p.Keys))
	}
	for _, k := range p.Keys {
		wantKey(t, "CamelizeKey", k[0], CamelizeKey(k[0]), k[1])
		wantKey(t, "UnderscoreizeKey", k[0], UnderscoreizeKey(k[0], false), k[2])
		wantKey(t, "UnderscoreizeKey without numbers", k[0], UnderscoreizeKey(k[0], true), k[3])
	}
}

func TestUnderscoreizeKeyLowersLikePython(t *testing.T) {
	for key, want := range map[string]string{
		"İstanbul": "i\u0307stanbul",
		"ΟΔΟΣ":     "οδος", // final sigma
		"ΟΔΟΣ ΣΑ":  "οδος σα",
		"Σ":        "σ",    // no letter before it
		"aΣ'b":     "aσ'b", // the apostrophe stands inside the word
		"aΣ'":      "aς'",
	} {
		wantKey(t, "UnderscoreizeKey", key, UnderscoreizeKey(key, false), want)
	}
}

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

type rewriter func(dst, src []byte, o *Options, l Limits) ([]byte, error)

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
