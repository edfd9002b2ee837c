package faulttests_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// programs are built once in a run, when the first test needs one: as they are, but with the failpoints of the tag
// faults. They go when the run ends.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "parley-programs-"); err != nil {
		return "", err
	}
	programsDir = dir
	args := []string{"build", "-tags", "faults", "-o", dir}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/parley", "./faulttests/victim")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// programsDir is for the end of the run: it is empty if no test needed the programs.
var programsDir string

func removePrograms() error {
	if programsDir == "" {
		return nil
	}
	return os.RemoveAll(programsDir)
}

// built returns the path of one of the programs.
func built(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
