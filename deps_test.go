package parley_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-go/parley"

// allowed says which packages of this module and which third-party modules a package may
// import, tests apart, and why. Everything else is a decision that docs/design.md must tell.
var allowed = []struct {
	pkg     string
	imports []string
	why     string
}{
	{"", []string{"/internal/jsonkeys", "/internal/topic", "/internal/failpoint"}, "users of the vocabulary must not inherit a driver"},
	{"/internal/jsonkeys", nil, "the core depends on it"},
	{"/internal/topic", nil, "the core depends on it"},
	{"/internal/failpoint", nil, "everything depends on it, and it is empty but for fault tests"},
	{"/memory", []string{"", "/internal/topic"}, "the embedded default needs no server and no library"},
	{"/parleytest", []string{""}, "users' tests import it"},
	{"/rabbitmq", []string{"", "/internal/failpoint", "github.com/rabbitmq/amqp091-go"}, "one outside system"},
	{"/postgres", []string{"", "/internal/failpoint", "/internal/sqlstore", "github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}, "one outside system"},
	{"/mysql", []string{"", "/internal/failpoint", "/internal/sqlstore", "github.com/go-sql-driver/mysql", "github.com/pressly/goose/v3"}, "one outside system"},
	{"/sqlite", []string{"", "/internal/failpoint", "/internal/sqlstore", "modernc.org/sqlite", "github.com/pressly/goose/v3"}, "one outside system"},
	{"/internal/sqlstore", []string{"", "/internal/failpoint", "github.com/pressly/goose/v3"}, "the database/sql engine knows no driver"},
	{"/rest", []string{"/internal/jsonkeys", "golang.org/x/oauth2", "github.com/sony/gobreaker/v2", "github.com/cenkalti/backoff/v5"}, "usable alone: it does not know package parley"},
	{"/otelparley", []string{"", "go.opentelemetry.io/otel", "github.com/prometheus/client_golang"}, "the core stays on the standard library"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	rules := map[string][]string{}
	for _, a := range allowed {
		rules[module+a.pkg] = a.imports
	}
	for _, p := range listPackages(t) {
		imports, ruled := rules[p.ImportPath]
		for _, path := range p.Imports {
			if path == module+"/parleytest" && !strings.HasSuffix(p.ImportPath, "test") {
				t.Errorf("%s imports parleytest: only tests may", p.ImportPath)
			}
			if ruled && isForeign(path) && !slices.ContainsFunc(imports, func(ok string) bool { return covers(ok, path) }) {
				t.Errorf("%s imports %s, which deps_test.go does not allow", p.ImportPath, path)
			}
		}
	}
}

// isForeign tells that a package is not of the standard library.
func isForeign(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// covers tells that an allowance means a package: one of this module exactly, others with
// the packages below.
func covers(ok, path string) bool {
	if ok == "" || strings.HasPrefix(ok, "/") {
		return path == module+ok
	}
	return path == ok || strings.HasPrefix(path, ok+"/")
}

// Limits of style: a reader must be able to hold a file and a function in mind.
const (
	fileLines     = 420
	functionLines = 65
)

func TestFilesAndFunctionsStayShort(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && (d.Name() == ".bin" || d.Name() == "testdata" || d.Name() == ".git") {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		test := strings.HasSuffix(path, "_test.go")
		if n := set.Position(file.End()).Line; n > fileLines && !test {
			t.Errorf("%s has %d lines, more than %d", path, n, fileLines)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || test {
				continue
			}
			if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > functionLines {
				t.Errorf("%s: %s has %d lines, more than %d", path, f.Name.Name, n, functionLines)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".bin", ".git", "testdata", "internal", "cmd", "examples", "benchmarks", "faulttests"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, name := range undocumented(file) {
			t.Errorf("%s: %s has no doc comment", path, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// undocumented lists exported declarations without a comment.
func undocumented(file *ast.File) (names []string) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || receiverExported(d)) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
					names = append(names, ts.Name.Name)
				}
			}
		}
	}
	return names
}

// receiverExported tells that a method belongs to an exported type and does more than an
// interface of the standard library asks for.
func receiverExported(d *ast.FuncDecl) bool {
	if slices.Contains([]string{"Error", "String", "Unwrap", "Is", "Len", "Less", "Swap"}, d.Name.Name) {
		return false
	}
	found := false
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !found {
			found = id.IsExported()
			return false
		}
		return true
	})
	return found
}
