package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// prepare turns the tree at root into that of a release: each released module requires the others at the version, without replace directives,
// and its go.sum has their checksums. "go install" does not accept a command whose go.mod has replace directives.
func prepare(root, version string) ([]*mod, error) {
	all, err := load(root)
	if err != nil {
		return nil, err
	}
	list, err := released(all)
	if err != nil {
		return nil, err
	}
	sums := map[string][]string{} // lines of go.sum by module path
	for _, m := range list {
		if err := rewrite(root, m, all, version, sums); err != nil {
			return nil, fmt.Errorf("%s: %w", m.path, err)
		}
		if sums[m.path], err = checksums(root, m, version); err != nil {
			return nil, fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return list, nil
}

// rewrite writes go.mod and go.sum of m.
func rewrite(root string, m *mod, all []*mod, version string, sums map[string][]string) error {
	var lines []string
	for _, path := range m.siblings(all) {
		if err := m.file.AddRequire(path, version); err != nil {
			return err
		}
		lines = append(lines, sums[path]...)
	}
	for _, r := range slices.Clone(m.file.Replace) {
		if err := m.file.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	m.file.Cleanup()
	folder := filepath.Join(root, m.folder)
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), modfile.Format(m.file.Syntax), 0o644); err != nil {
		return err
	}
	name := filepath.Join(folder, "go.sum")
	old, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil || len(lines) == 0 {
		return err
	}
	lines = append(lines, strings.FieldsFunc(string(old), func(r rune) bool { return r == '\n' })...)
	slices.Sort(lines)
	return os.WriteFile(name, []byte(strings.Join(slices.Compact(lines), "\n")+"\n"), 0o644)
}

// checksums returns the lines of go.sum for m.
func checksums(root string, m *mod, version string) ([]string, error) {
	archive, err := os.CreateTemp("", "parley-module-*.zip")
	if err != nil {
		return nil, err
	}
	defer os.Remove(archive.Name())
	if err := errors.Join(writeZip(archive, root, m, version), archive.Close()); err != nil {
		return nil, err
	}
	whole, err := dirhash.HashZip(archive.Name(), dirhash.Hash1)
	if err != nil {
		return nil, err
	}
	goMod, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(root, m.folder, "go.mod"))
	})
	if err != nil {
		return nil, err
	}
	return []string{m.path + " " + version + " " + whole, m.path + " " + version + "/go.mod " + goMod}, nil
}

// writeZip writes the zip file of m as the go command makes it from a tag: a nested module without a license gets that of the repository.
func writeZip(w io.Writer, root string, m *mod, version string) error {
	folder := filepath.Join(root, m.folder)
	checked, err := zip.CheckDir(folder)
	if err != nil {
		return err
	}
	if err := checked.Err(); err != nil {
		return err
	}
	var files []zip.File
	hasLicense := false
	for _, name := range checked.Valid { // CheckDir returns paths that begin with the folder
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		hasLicense = hasLicense || rel == "LICENSE"
		files = append(files, file{rel, name})
	}
	if license := filepath.Join(root, "LICENSE"); !hasLicense {
		if _, err := os.Stat(license); err == nil {
			files = append(files, file{"LICENSE", license})
		}
	}
	return zip.Create(w, module.Version{Path: m.path, Version: version}, files)
}

// A file is a file of a module.
type file struct{ name, source string }

func (f file) Path() string                 { return f.name }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.source) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.source) }

// section returns the notes of a version in CHANGELOG.md: the text below its heading.
func section(changelog []byte, version string) (string, error) {
	var notes bytes.Buffer
	inside := false
	for line := range strings.Lines(string(changelog)) {
		if strings.HasPrefix(line, "## ") {
			inside = headingOf(line, version)
			continue
		}
		if inside {
			notes.WriteString(line)
		}
	}
	if strings.TrimSpace(notes.String()) == "" {
		return "", fmt.Errorf(`CHANGELOG.md has no notes for %s (add the heading "## %s (date)")`, version, strings.TrimPrefix(version, "v"))
	}
	return strings.TrimSpace(notes.String()) + "\n", nil
}
