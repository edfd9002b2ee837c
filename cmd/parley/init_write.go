package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed scaffold
var scaffold embed.FS

// write writes the service beside its place, and moves it there when it is complete.
func (p *project) write() (err error) {
	parent := filepath.Dir(p.dir)
	made, err := makeFolders(parent)
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp(parent, ".parley-init-") // beside the target: relative paths and renames work
	if err != nil {
		return errors.Join(err, removeFolders(made))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(stage), removeFolders(made))
		}
	}()
	if err := os.Chmod(stage, 0o755); err != nil {
		return err
	}
	for _, part := range p.parts {
		if err := p.render(part, stage); err != nil {
			return err
		}
	}
	if !slices.Contains(p.parts, "added") {
		if err := p.require(stage); err != nil {
			return err
		}
	}
	return moveInto(p.dir, stage)
}

// moveInto moves a folder to its place. If an empty folder is there, it moves the content: the folder may be a shell's working directory.
func moveInto(dir, stage string) error {
	entries, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(stage, dir)
	}
	for i, e := range entries {
		if err := os.Rename(filepath.Join(stage, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			for _, moved := range entries[:i] {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, moved.Name())))
			}
			return err
		}
	}
	return os.Remove(stage)
}

// makeFolders creates a folder and those above it, and returns those that it has created, the deepest one first.
func makeFolders(dir string) (made []string, err error) {
	for d := dir; d != existing(d); d = filepath.Dir(d) {
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o755)
}

func removeFolders(made []string) error {
	var errs []error
	for _, dir := range made {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// hidden are files and folders of the scaffold whose names begin with a dot: go:embed leaves such names out.
var hidden = map[string]string{"gitignore": ".gitignore", "dockerignore": ".dockerignore", "github": ".github"}

// render writes the files of one part of the scaffold into a folder.
func (p *project) render(part, dir string) error {
	root := "scaffold/" + part
	return fs.WalkDir(scaffold, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t, err := template.ParseFS(scaffold, path)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := t.Execute(&text, p); err != nil {
			return err
		}
		names := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, root+"/"), ".tmpl"), "/")
		for i, name := range names {
			if dotted, ok := hidden[name]; ok {
				names[i] = dotted
			}
		}
		return create(filepath.Join(dir, filepath.Join(names...)), text.Bytes())
	})
}

// create writes a file. It never overwrites one.
func create(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func goTool(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
