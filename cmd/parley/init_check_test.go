package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A shop is a module as init writes it, without parley.
var shop = map[string]string{
	"go.mod":                 "module example.com/shop\n\nrequire github.com/parley-go/parley/service v0.0.0\n",
	"contracts/contracts.go": "package contracts\n\ntype Order struct{}\n\nvar OrderAccepted = 1\n",
}

// folder returns a new folder with files, by path and content.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// list returns the paths below a folder.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		b.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestInitChecksBeforeItWrites(t *testing.T) {
	without := func(name string) map[string]string {
		files := map[string]string{}
		for k, v := range shop {
			if k != name {
				files[k] = v
			}
		}
		return files
	}
	for _, c := range []struct {
		args  string
		files map[string]string // of the working directory
		want  string
	}{
		{"init", nil, "give the folder"},
		{"init a b", nil, "give the folder"},
		{"init Shop", nil, `"Shop" is not a valid service name`},
		{"init internal", nil, "a meaning of its own"},
		{"init shop", map[string]string{"shop/x": ""}, "is not empty"},
		{"init shop", map[string]string{"shop": ""}, "cannot be used"},
		{"init shop --module a//b", nil, "not a valid module path"},
		{"init errors", nil, "--module example.com/errors"},
		{"init shop --with docker,k8s", nil, "--with k8s is unknown"},
		{"init shop --clone .", nil, "is not a clone of parley"},
		{"init shop", map[string]string{"go.work": "go 1.26.0\n"}, "inside the workspace"},
		{"init a/b/shop", map[string]string{"go.work": "go 1.26.0\n"}, "inside the workspace"},
		{"init --add billing", nil, "not the folder of a Go module"},
		{"init --add billing", map[string]string{"go.mod": "module example.com/shop\n"}, "does not require github.com/parley-go/parley/service"},
		{"init --add billing", without("contracts/contracts.go"), "no type Order and event OrderAccepted"},
		{"init --add billing --with docker", shop, "--add takes no"},
		{"init --add contracts", shop, "is not empty"},
		{"init Shop --module a//b --with x", nil, "not a valid module path"}, // all mistakes at once
		{"init Shop --module a//b --with x", nil, "--with x is unknown"},
	} {
		dir := folder(t, c.files)
		before := list(t, dir)
		cmd, out := program(t.Context(), t, strings.Fields(c.args)...)
		cmd.Dir = dir
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(out.String(), c.want) {
			t.Errorf("parley %s: %v, want exit code 2 and %q\n%s", c.args, err, c.want, out)
		}
		if after := list(t, dir); after != before {
			t.Errorf("parley %s has written files:\n%s", c.args, after)
		}
	}
}

func TestInitNeedsAGoCommandOfItsVersion(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\ngo " + strings.TrimPrefix(goVersion, "go") + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("init asks for %s, but go.mod does not have the line %q", goVersion, want)
	}
	t.Setenv("PATH", t.TempDir())
	if err := checkGo(); err == nil || !strings.Contains(err.Error(), "not in the PATH") {
		t.Errorf("without a go command: %v", err)
	}
	old := t.TempDir()
	if err := os.WriteFile(filepath.Join(old, "go"), []byte("#!/bin/sh\necho go1.25.3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", old+":/bin:/usr/bin")
	if err := checkGo(); err == nil || !strings.Contains(err.Error(), "is of go1.25.3") {
		t.Errorf("with a go command of another version: %v", err)
	}
}

func TestAServiceIsAddedToAModuleThatHasItsContracts(t *testing.T) {
	p := &project{}
	if err := p.join(folder(t, shop)); err != nil || p.Module != "example.com/shop" {
		t.Errorf("module %q (%v)", p.Module, err)
	}
}
