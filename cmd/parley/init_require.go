package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	parleyModule  = "github.com/parley-go/parley"
	serviceModule = parleyModule + "/service"
)

// find sets the clone of parley that the service uses: the given folder, else the clone that contains the working directory, if any.
func (p *project) find(clone string) error {
	if clone == "" {
		clone = cloneHere()
	}
	if clone == "" {
		return nil
	}
	clone, err := filepath.Abs(clone)
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(clone, "service", "go.mod"))
	if err != nil {
		return fmt.Errorf("%s is not a clone of parley: %w", clone, err)
	}
	if first, _, _ := strings.Cut(string(mod), "\n"); strings.TrimSpace(first) != "module "+serviceModule {
		return fmt.Errorf("%s is not a clone of parley: its service/go.mod begins with %q", clone, first)
	}
	// A relative path is resolved by the real folders, so symbolic links on the way must not count.
	parent := filepath.Dir(p.dir)
	base := existing(parent)
	missing, err := filepath.Rel(base, parent)
	if err != nil {
		return err
	}
	if base, err = filepath.EvalSymlinks(base); err != nil {
		return err
	}
	if clone, err = filepath.EvalSymlinks(clone); err != nil {
		return err
	}
	p.clone = clone
	rel, err := filepath.Rel(filepath.Join(base, missing, p.Name), clone)
	if err != nil {
		return fmt.Errorf("the clone %s has no path relative to %s (use a folder on the same volume): %w", clone, p.dir, err)
	}
	p.Clone = filepath.ToSlash(rel)
	return nil
}

// cloneHere returns the root of the clone of parley that contains the working directory, or "".
func cloneHere() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{if .Main}}{{.Dir}}{{end}}", parleyModule).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// depth returns a path of as many folders as a relative path leaves, less one.
func depth(rel string) string {
	up := 0
	for ; strings.HasPrefix(rel, "../"); rel = rel[len("../"):] {
		up++
	}
	return strings.Repeat("x/", max(up-1, 0))
}

func beside(folder, rel string) string { return path.Join(folder, rel) }

// require creates go.mod and go.sum with only what the service imports, from the clone or from the published module.
func (p *project) require(dir string) error {
	if p.clone == "" {
		for _, args := range [][]string{{"mod", "init", p.Module}, {"get", serviceModule + "@latest"}, {"mod", "tidy"}} {
			if err := goTool(dir, args...); err != nil {
				return fmt.Errorf("%w\n(to use a clone of parley, give its folder with --clone)", err)
			}
		}
		return nil
	}
	mod, sum, err := p.fromClone()
	if err != nil {
		return err
	}
	if err := errors.Join(create(filepath.Join(dir, "go.mod"), mod), create(filepath.Join(dir, "go.sum"), sum)); err != nil {
		return err
	}
	tidy := goTool(dir, "mod", "tidy")
	if tidy == nil {
		return nil
	}
	// Tidy also loads the tests of all dependencies, so it needs a network. A build needs only what the clone has.
	if err := goTool(dir, "list", "-deps", "-test", "./..."); err != nil {
		return errors.Join(tidy, err)
	}
	p.note = "go mod tidy failed, probably without a network: go.mod names more modules than needed until you run it again"
	return nil
}

// indirect marks a requirement of the clone's module service as one that the new service does not import itself.
func indirect(block string) string {
	return requireLine.ReplaceAllString(block, "${1} // indirect")
}

var (
	requireLine  = regexp.MustCompile(`(?m)^(\t\S+ v\S+)$`)
	requireBlock = regexp.MustCompile(`(?ms)^require \(\n.*?^\)\n`)
	replaceLine  = regexp.MustCompile(`(?m)^\s*(?:replace )?(` + regexp.QuoteMeta(parleyModule) + `\S*) => (\.\.\S*)`)
	goLine       = regexp.MustCompile(`(?m)^go \S+`)
)

// fromClone returns a go.mod with the requirements of the clone's module service, which include those of all parts of parley. So the service
// has tested versions, and needs no download that the clone does not need. `go mod tidy` removes what it does not use.
func (p *project) fromClone() (mod, sum []byte, err error) {
	service := filepath.Join(p.clone, "service")
	text, err := os.ReadFile(filepath.Join(service, "go.mod"))
	if err != nil {
		return nil, nil, fmt.Errorf("read the clone of parley: %w", err)
	}
	if sum, err = os.ReadFile(filepath.Join(service, "go.sum")); err != nil {
		return nil, nil, fmt.Errorf("read the clone of parley: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "module %s\n\n%s\n\nrequire (\n\t%s v0.0.0\n\t%s v0.0.0\n)\n\n", p.Module, goLine.Find(text), parleyModule, serviceModule)
	for _, block := range requireBlock.FindAll(text, -1) {
		own := strings.ReplaceAll(string(block), "\t"+parleyModule+" v0.0.0\n", "")
		fmt.Fprintf(&b, "%s\n", indirect(own))
	}
	fmt.Fprintf(&b, "replace (\n\t%s => %s\n", serviceModule, path.Join(p.Clone, "service"))
	for _, m := range replaceLine.FindAllStringSubmatch(string(text), -1) {
		fmt.Fprintf(&b, "\t%s => %s\n", m[1], path.Join(p.Clone, "service", m[2]))
	}
	b.WriteString(")\n")
	return []byte(b.String()), sum, nil
}
