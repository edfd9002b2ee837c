package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkout writes a small package parley.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module github.com/parley-go/parley\n\ngo 1.26\n",
		"a.go":      "package parley\n\nfunc A() { b() }\n\nfunc back() { c() }\n",
		"a_test.go": "package parley\n",
		"b.go":      "package parley\n\nfunc b() {\n\tback()\n}\n",
		"c.go":      "package parley\n\ntype T struct{}\n\nfunc c() { T{}.m() }\n\nfunc (T) m() {\n\n\n}\n",
		"names.go":  "package parley\n\nconst Exported = 1\n",
		"extern.go": "package parley\n\nfunc extern()\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

func TestTheWayOfADeliveryCountsFilesStaysAndClimbs(t *testing.T) {
	p, err := load(checkout(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.way([]string{"+A", "b", "back", "c", "T.m"})
	if want := (way{files: 3, stays: 4, climbs: 1}); err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if n := p.exported(); n != 3 {
		t.Errorf("%d exported names, want A, T and Exported", n)
	}
	for name, names := range map[string][]string{"has no function gone": {"+gone"}, "mentions c": {"+A", "c"}} {
		if _, err := p.way(names); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("way %v: got %v, want an error that says %q", names, err, name)
		}
	}
}

func TestTheSurveyFindsTheLongestFunctionAndFilesWithoutATest(t *testing.T) {
	got, err := survey(checkout(t))
	if err != nil {
		t.Fatal(err)
	}
	if got.longest != 4 || got.longestName != "m" {
		t.Errorf("the longest function is %s with %d lines, want m with 4", got.longestName, got.longest)
	}
	if strings.Join(got.untested, " ") != "b.go c.go" {
		t.Errorf("without a test file are %q, want b.go and c.go: a.go has one, names.go and extern.go have no function body", got.untested)
	}
}
