//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestAPackageWithoutAResultIsAnError(t *testing.T) {
	var passedOn strings.Builder
	r := &resultLines{out: &passedOn}
	printed := "ok  \texample.com/a\t1.2s\n?   \texample.com/b\t[no test files]\n\texample.com/c\t\tcoverage: 0.0% of statements\nFAIL\texample.com/d\t1s\n"
	for part := range strings.SplitAfterSeq(printed, "e") { // lines come in pieces
		if _, err := r.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if passedOn.String() != printed {
		t.Errorf("passed on %q", passedOn.String())
	}
	all := []string{"example.com/a", "example.com/b", "example.com/c", "example.com/d"}
	if err := r.missingOf(all); err != nil {
		t.Error(err)
	}
	err := r.missingOf(append(all, "example.com/forgotten"))
	if err == nil || !strings.Contains(err.Error(), "1 of 5 packages were not run: example.com/forgotten") {
		t.Errorf("got %v, want an error that names the package", err)
	}
	if r.missingOf(nil) == nil {
		t.Error("a workspace without packages is no error")
	}
}
