package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A rootPackage is package parley, parsed and type-checked.
type rootPackage struct {
	set   *token.FileSet
	pkg   *types.Package
	info  *types.Info
	decls map[types.Object]*ast.FuncDecl
}

func load(root string) (*rootPackage, error) {
	if err := os.Chdir(root); err != nil { // the importer finds modules from here
		return nil, err
	}
	if build.Default.GOROOT == "" { // built with -trimpath
		goroot, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return nil, err
		}
		build.Default.GOROOT = strings.TrimSpace(string(goroot))
	}
	names, err := filepath.Glob("*.go")
	if err != nil {
		return nil, err
	}
	p := &rootPackage{set: token.NewFileSet(), decls: map[types.Object]*ast.FuncDecl{}}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(p.set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	p.info = &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(p.set, "source", nil)}
	if p.pkg, err = config.Check("github.com/parley-go/parley", p.set, files, p.info); err != nil {
		return nil, err
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				p.decls[p.info.Defs[fn.Name]] = fn
			}
		}
	}
	return p, nil
}

// exported counts the exported names of the package, methods and fields apart.
func (p *rootPackage) exported() (n int) {
	for _, name := range p.pkg.Scope().Names() {
		if token.IsExported(name) {
			n++
		}
	}
	return n
}

// A way describes the functions that a delivery passes.
type way struct{ files, stays, climbs int }

// way counts the files and lines of a list of functions.
func (p *rootPackage) way(names []string) (way, error) {
	w := walker{left: map[string]bool{}}
	mentioned := map[types.Object]bool{}
	for _, name := range names {
		name, variable := strings.CutPrefix(name, "+")
		object := p.find(name)
		decl := p.decls[object]
		if decl == nil {
			return way{}, fmt.Errorf("package parley has no function %s: name others with -way", name)
		}
		if !variable && !mentioned[object] {
			return way{}, fmt.Errorf("no function before it mentions %s", name)
		}
		w.stay(p.set.Position(decl.Pos()).Filename)
		ast.Inspect(decl.Body, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				mentioned[p.info.Uses[id]] = true
			}
			return true
		})
	}
	w.left[w.here] = true
	return way{files: len(w.left), stays: w.stays, climbs: w.climbs}, nil
}

// find returns the function of a name or Type.name.
func (p *rootPackage) find(name string) types.Object {
	receiver, method, ok := strings.Cut(name, ".")
	if !ok {
		return p.pkg.Scope().Lookup(name)
	}
	typ := p.pkg.Scope().Lookup(receiver)
	if typ == nil {
		return nil
	}
	object, _, _ := types.LookupFieldOrMethod(typ.Type(), true, p.pkg, method)
	return object
}

type walker struct {
	here          string // the file of the last stay
	left          map[string]bool
	stays, climbs int
}

func (w *walker) stay(file string) {
	if file == w.here {
		return
	}
	if w.here != "" {
		w.left[w.here] = true
	}
	if w.left[file] {
		w.climbs++
	}
	w.here = file
	w.stays++
}
