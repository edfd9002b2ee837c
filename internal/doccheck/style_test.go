package doccheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Limits of size, so that a reader can understand a file and a function as a whole.
const (
	fileLines     = 420
	functionLines = 65
)

func TestFilesAndFunctionsStayShort(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
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
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
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

// receiverExported reports whether a method belongs to an exported type and does more than an
// interface of the standard library requires.
func receiverExported(d *ast.FuncDecl) bool {
	if slices.Contains([]string{"Error", "String", "Unwrap", "Is", "Len", "Less", "Swap"}, d.Name.Name) {
		return false
	}
	var receiver *ast.Ident // the first name; those after it are type parameters
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && receiver == nil {
			receiver = id
		}
		return receiver == nil
	})
	return receiver.IsExported()
}
