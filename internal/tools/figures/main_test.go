package main

import (
	"errors"
	"os"
	"path/filepath"
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

		"parleytest/suite.go": "package parleytest\n\nfunc TestStore() {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}
