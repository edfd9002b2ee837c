package sqlstore

import (
	"slices"
	"testing"

	"github.com/parley-go/parley"
)

func TestDifferentTagsHaveDifferentDigests(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{"a", "b", "c", "d"}, {"ab", "", "c", "d"}, {"", "ab", "c", "d"}, {"a", "b", "cd", ""}, {"a", "b", "", "cd"}, {"a", "b", "c", "D"}, {"a", "b", "c", "d "},
	} {
		d := string(tagDigest(parts[0], parts[1], parts[2], parts[3]))
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have the same digest", parts, other)
		}
		seen[d] = parts
		if len(d) != 16 {
			t.Errorf("a digest has %d bytes, want 16", len(d))
		}
	}
}

func TestSetDigestDoesNotDependOnTheOrderOfTags(t *testing.T) {
	tags := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	want := setDigest(parley.Selection{Exchange: "x", Tags: tags})
	for range 20 {
		if got := setDigest(parley.Selection{Exchange: "x", Tags: tags}); !slices.Equal(got, want) {
			t.Fatal("the same tags have two digests")
		}
	}
}
