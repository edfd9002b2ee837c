package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

func TestABrowserIsTheOneOfTheVariableElseOneInThePath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv(ChromiumVariable, "")
	if path, err := FindChromium(); path != "" || err != nil {
		t.Errorf("without a browser: %q, %v", path, err)
	}
	program := filepath.Join(dir, "chromium")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := FindChromium(); path != program || err != nil {
		t.Errorf("in the path: %q, %v", path, err)
	}
	if path := Chromium(t); path != program {
		t.Errorf("the test gets %q", path)
	}
	t.Setenv(ChromiumVariable, filepath.Join(dir, "missing"))
	if path, err := FindChromium(); err == nil {
		t.Errorf("a variable that names no program: %q", path)
	}
}
