package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInitLeavesNothingWhenAStepFails(t *testing.T) {
	// A clone whose module service cannot be loaded: the checks pass, and the go command fails.
	clone := folder(t, map[string]string{
		"service/go.mod": "module github.com/parley-go/parley/service\n\ngo 1.26.0\n\nreplace github.com/parley-go/parley => ..\n",
		"service/go.sum": "",
	})
	for _, args := range []string{"init shop --clone ", "init a/b/shop --clone "} {
		dir := folder(t, map[string]string{"other/file": "x"})
		before := list(t, dir)
		cmd, out := program(t.Context(), t, strings.Fields(args+clone)...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, "GOPROXY=off", "GOFLAGS=-mod=mod")
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "no file is left") {
			t.Errorf("parley %s: %v, want exit code 1\n%s", args, err, out)
		}
		if after := list(t, dir); after != before {
			t.Errorf("parley %s has left files:\n%s", args, after)
		}
	}
}

func TestAServiceIsMovedIntoAnEmptyFolderOrToANewOne(t *testing.T) {
	dir := t.TempDir()
	for _, target := range []string{"new", "empty"} {
		stage := folder(t, map[string]string{"main.go": "package main\n", "orders/orders.go": "package orders\n"})
		place := filepath.Join(dir, target)
		if target == "empty" {
			if err := os.Mkdir(place, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := moveInto(place, stage); err != nil {
			t.Errorf("move to a folder that is %s: %v", target, err)
		}
		if _, err := os.Stat(filepath.Join(place, "orders", "orders.go")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(stage); err == nil {
			t.Errorf("the stage is left after a move to a folder that is %s", target)
		}
	}
}

func TestFoldersThatInitHasMadeAreRemovedAgain(t *testing.T) {
	dir := t.TempDir()
	made, err := makeFolders(filepath.Join(dir, "a", "b"))
	if err != nil || len(made) != 2 {
		t.Fatalf("made %q (%v), want two folders", made, err)
	}
	if err := removeFolders(made); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("a folder is left")
	}
	if made, err := makeFolders(dir); err != nil || len(made) != 0 {
		t.Errorf("made %q (%v), though the folder exists", made, err)
	}
}
