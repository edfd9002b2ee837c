package command

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/service/internal/output"
)

func TestADiffShowsChangedLinesWithSomeAround(t *testing.T) {
	before := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11"
	after := "1\n2\n3\n4\n5\n6\nx\x1b[2J\n8\n9\n10\n11\n12"
	var out strings.Builder
	writeDiff(&out, output.Style(false), before, after)
	if want := "  …\n  4\n  5\n  6\n- 7\n+ x\\x1b[2J\n  8\n  9\n  10\n  11\n+ 12\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
