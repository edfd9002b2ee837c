package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// A mod is a module of the repository.
type mod struct {
	path   string // its import path
	folder string // relative to the root, "" for the root module
	file   *modfile.File
}

// tag returns the git tag of a version: a nested module has its folder in front.
func (m *mod) tag(version string) string {
	if m.folder == "" {
		return version
	}
	return m.folder + "/" + version
}

// siblings returns the paths of the modules of this repository that m requires.
func (m *mod) siblings(all []*mod) (paths []string) {
	for _, r := range m.file.Require {
		if slices.ContainsFunc(all, func(o *mod) bool { return o.path == r.Mod.Path }) {
			paths = append(paths, r.Mod.Path)
		}
	}
	return paths
}

// load reads the modules that go.work names.
func load(root string) ([]*mod, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", text, nil)
	if err != nil {
		return nil, err
	}
	var all []*mod
	for _, use := range work.Use {
		folder := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(use.Path)), "./")
		if folder == "." {
			folder = ""
		}
		name := filepath.Join(root, folder, "go.mod")
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := modfile.Parse(name, text, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, &mod{file.Module.Mod.Path, folder, file})
	}
	return all, nil
}

// private are the folders whose modules users do not import. They are released only if a public module requires them.
var private = []string{"internal", "examples", "benchmarks", "faulttests", "deploy"}

// released returns the public modules and those that they require, each after the ones that it requires.
func released(all []*mod) ([]*mod, error) {
	byPath := map[string]*mod{}
	for _, m := range all {
		byPath[m.path] = m
	}
	var out []*mod
	state := map[string]int{} // 1: being visited, 2: done
	var visit func(m *mod) error
	visit = func(m *mod) error {
		switch state[m.path] {
		case 2:
			return nil
		case 1:
			return fmt.Errorf("%s requires itself through other modules: its go.sum could not contain its own checksum", m.path)
		}
		state[m.path] = 1
		for _, path := range m.siblings(all) {
			if err := visit(byPath[path]); err != nil {
				return err
			}
		}
		state[m.path] = 2
		out = append(out, m)
		return nil
	}
	for _, m := range all {
		first, _, _ := strings.Cut(m.folder, "/")
		if slices.Contains(private, first) {
			continue
		}
		if err := visit(m); err != nil {
			return nil, err
		}
	}
	return out, nil
}
