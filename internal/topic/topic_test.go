package topic

import (
	"strings"
	"testing"
)

// naiveTopic matches by trying everything that # may stand for.
func naiveTopic(pattern, key []string) bool {
	if len(pattern) == 0 {
		return len(key) == 0
	}
	if pattern[0] == "#" {
		return naiveTopic(pattern[1:], key) || len(key) > 0 && naiveTopic(pattern, key[1:])
	}
	return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) && naiveTopic(pattern[1:], key[1:])
}

func TestTopicMatchTakesAllKindsOfPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"#", "", true}, {"*", "", false}, {"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "", false},
		{"a.#", "a", true}, {"#.a", "a", true}, {"#.#", "", true}, {"#.*", "", false}, {"*.#", "a", true},
		{"#.a.#", "b.a.c", true}, {"#.a.#", "b.c", false}, {"a.*.c", "a..c", true}, {"a*", "ab", false},
		{"#.a.#.b", "a.a.c.b", true}, {"#.a.b.#.c", "a.a.b.b.c", true}, {"#.a.b", "a.b.a", false},
	} {
		if got := Match(Words(c.pattern), Words(c.key)); got != c.want {
			t.Errorf("pattern %q, key %q: %t, want %t", c.pattern, c.key, got, c.want)
		}
	}
}

func TestTopicMatchIsFastOnHostilePatterns(t *testing.T) {
	pattern := Words(strings.Repeat("#.a.", 40) + "b")
	key := Words(strings.Repeat("a.", 120) + "c")
	if Match(pattern, key) { // an exponential matcher would not return
		t.Error("a pattern that ends in b takes a key that ends in c")
	}
}

func FuzzTopicMatchAgreesWithTheNaiveOne(f *testing.F) {
	for _, seed := range [][2]string{{"#.a.#", "a.b.a"}, {"*.#.b", "a..b"}, {"#.#.*", "a"}, {"", ""}, {"a.#", "a.b.c"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, key string) {
		if len(pattern) > 24 || len(key) > 24 {
			return // the naive one is exponential
		}
		p, k := Words(pattern), Words(key)
		if got, want := Match(p, k), naiveTopic(p, k); got != want {
			t.Errorf("pattern %q, key %q: %t, want %t", pattern, key, got, want)
		}
	})
}
