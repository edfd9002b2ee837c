package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A tree holds the figures of the files of a checkout.
type tree struct {
	longest     int // lines
	longestName string
	untested    []string // files with a function body and without a test file of the same name, outside of suites
}

// suites are folders whose files are tests themselves, or programs and servers that tests run.
var suites = []string{"parleytest", "internal/sqlstore/sqlstoretest", "faulttests/victim", "examples", "service/internal/servicetest"}

func inSuite(name string) bool {
	return slices.ContainsFunc(suites, func(dir string) bool { return strings.HasPrefix(filepath.ToSlash(name), dir+"/") })
}

func survey(root string) (*tree, error) {
	t := &tree{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".bin", "testdata", "scaffold"}, d.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		return t.read(root, path)
	})
	return t, err
}

func (t *tree) read(root, path string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	functions := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if f.Body != nil {
			functions++
		}
		if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > t.longest {
			t.longest, t.longestName = n, f.Name.Name
		}
	}
	if _, err := os.Stat(strings.TrimSuffix(path, ".go") + "_test.go"); functions > 0 && err != nil {
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if !inSuite(name) {
			t.untested = append(t.untested, name)
		}
	}
	return nil
}

// linkedPackages counts the packages outside the standard library that core, postgres and rabbitmq link.
func linkedPackages(root string) (int, error) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".", "./postgres", "./rabbitmq")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("go list: %w", err)
	}
	return len(strings.Fields(string(out))), nil
}
