package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/version"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	plainName   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	plainModule = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
	moduleLine  = regexp.MustCompile(`(?m)^module[ \t]+(\S+)`)
)

// goVersion is the version of Go that parley needs, as in its go.mod.
const goVersion = "go1.26.0"

func checkName(name string) error {
	if !plainName.MatchString(name) {
		return fmt.Errorf("%q is not a valid service name (use lower-case letters, digits, - and _, starting with a letter)", name)
	}
	if name == "internal" || name == "vendor" || name == "testdata" {
		return fmt.Errorf("%q has a meaning of its own as a folder of Go code (use another name)", name)
	}
	return nil
}

// checkFolder reports a folder that has content, or that cannot be created.
func checkFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("folder %s is not empty", dir)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("folder %s cannot be used: %w", dir, err)
}

func checkModule(module string) error {
	if !plainModule.MatchString(module) || strings.HasSuffix(module, ".") {
		return fmt.Errorf("%q is not a valid module path (such as example.com/shop)", module)
	}
	root, err := goEnv(".", "GOROOT")
	if err != nil {
		return nil // checkGo reports it
	}
	first, _, _ := strings.Cut(module, "/")
	if info, err := os.Stat(filepath.Join(root, "src", first)); err == nil && info.IsDir() {
		return fmt.Errorf("module path %q begins like a package of the standard library (use --module example.com/%s)", module, module)
	}
	return nil
}

// checkGo reports a missing or an old go command.
func checkGo() error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the go command is not in the PATH (install Go from https://go.dev/dl)")
	}
	have, err := goEnv(".", "GOVERSION")
	if err != nil {
		return err
	}
	if version.IsValid(have) && version.Compare(have, goVersion) < 0 {
		return fmt.Errorf("parley needs %s, and the go command is of %s (install a newer one from https://go.dev/dl)", goVersion, have)
	}
	return nil
}

// checkOutsideWorkspace reports a folder inside of a Go workspace that would not use the new module: the go command refuses to build there.
func checkOutsideWorkspace(dir string) error {
	work, err := goEnv(existing(dir), "GOWORK")
	if err != nil || work == "" || work == "off" {
		return nil
	}
	if rel, err := filepath.Rel(filepath.Dir(work), dir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("folder %s is inside the workspace %s (use a folder outside of it)", dir, work)
	}
	return nil
}

// existing returns the nearest folder that exists: dir, or one above it.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func goEnv(dir, name string) (string, error) {
	cmd := exec.Command("go", "env", name)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func checkAddFlags(o *initOptions) error {
	if o.module != "" || o.clone != "" || len(o.with) > 0 {
		return errors.New("--add takes no --module, --clone or --with: the first service's go.mod, Dockerfile and workflow are for all services of the module")
	}
	return nil
}

// join makes the project a further service of the module in a folder.
func (p *project) join(folder string) error {
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return fmt.Errorf("--add: %s is not the folder of a Go module (run it in the folder of the first service)", folder)
	}
	line := moduleLine.FindSubmatch(mod)
	if line == nil || !strings.Contains(string(mod), serviceModule+" ") {
		return fmt.Errorf("--add: %s does not require %s (write the first service with init)", filepath.Join(folder, "go.mod"), serviceModule)
	}
	p.Module = strings.Trim(string(line[1]), `"`)
	return checkContracts(filepath.Join(folder, "contracts"))
}

// checkContracts reports names of the package contracts that the added service uses and that are missing.
func checkContracts(folder string) error {
	missing := map[string]bool{"Order": true, "OrderAccepted": true}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("--add: read the contracts: %w", err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				delete(missing, n.Name.Name)
			case *ast.ValueSpec:
				for _, name := range n.Names {
					delete(missing, name.Name)
				}
			}
			return true
		})
	}
	if len(missing) > 0 {
		return fmt.Errorf("--add: package contracts in %s has no type Order and event OrderAccepted, which the added service handles (write the first service with init)", folder)
	}
	return nil
}
