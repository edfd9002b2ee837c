package jsonkeys

import (
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

type rewriter func(dst, src []byte, o *Options, l Limits) ([]byte, error)
