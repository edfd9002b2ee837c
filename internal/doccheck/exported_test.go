package doccheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every exported function is called by a test or an example: otherwise no run has ever shown that it works.
func TestEveryExportedFunctionIsCalledByATest(t *testing.T) {
	called := map[string]bool{}
	type function struct{ path, name string }
	var functions []function
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".bin", "testdata", "scaffold"}, d.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if isTestCode(rel) {
			text, err := os.ReadFile(path)
			for _, name := range regexp.MustCompile(`\b[A-Z]\w*\b`).FindAllString(string(text), -1) {
				called[name] = true
			}
			return err
		}
		if isInternal(rel) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Name.IsExported() && (f.Recv == nil || receiverExported(f)) {
				functions = append(functions, function{rel, f.Name.Name})
			}
		}
		return nil
	})
	if err != nil || len(functions) < 300 {
		t.Fatalf("%d exported functions found (%v)", len(functions), err)
	}
	for _, f := range functions {
		if !called[f.name] && calledThrough[f.name] == "" {
			t.Errorf("%s: no test or example calls %s", f.path, f.name)
		}
	}
}

// calledThrough are methods that tests call through something else.
var calledThrough = map[string]string{
	"GoString": "%#v", "LogValue": "log/slog", "Pull": "parley.VisitParked", "NextField": "rest.DjangoPages", "NextLink": "rest.LinkPages",
	"Migrations": "the command migrate status", "Prepare": "Service.Run", "UsageError": "the commands of cmd/parley", "AddFlag": "the flags of the commands",
	"MembersQueue": "the queue's name, written out",
}

// isTestCode reports whether a file is a test, an example, or a suite that tests of drivers run.
func isTestCode(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "examples/") || strings.HasPrefix(path, "parleytest/") ||
		strings.HasPrefix(path, "faulttests/") || strings.Contains(path, "sqlstoretest/")
}

func isInternal(path string) bool {
	return strings.Contains(path, "internal/") || strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "benchmarks/")
}
