package parley_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parley-go/parley"
)

func TestIdentityIsTextThatADatabaseTakesWhateverTheMessageID(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "\xff\xfe", "a\x00b", "\xff", `"a"`} {
		identity := parley.Identity(&parley.Message{ID: id})
		if !utf8.ValidString(identity) || strings.ContainsRune(identity, 0) || identity == "" || seen[identity] {
			t.Errorf("message id %q has the identity %q", id, identity)
		}
		seen[identity] = true
	}
}
