//go:build unix

package faulttests_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// programs are built once per run, when the first test needs one, with the tag faults for failpoints. They are
// deleted at the end of the run. Plain programs are built without the race detector.
var (
	programs      = sync.OnceValues(func() (dir string, err error) { return build(underRace()) })
	plainPrograms = sync.OnceValues(func() (dir string, err error) { return build(nil) })
)

// underRace returns the flag -race if this test was built with it.
func underRace() []string {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return []string{"-race"}
	}
	return nil
}

// build builds the programs in a new folder.
func build(flags []string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "parley-programs-"); err != nil {
		return "", err
	}
	programDirs.Store(dir, true)
	args := slices.Concat([]string{"build", "-tags", "faults", "-o", dir}, flags, []string{"./cmd/parley", "./faulttests/victim"})
	cmd := exec.Command("go", args...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
}

// programDirs are the folders to delete at the end of the run, if any test needed the programs.
var programDirs sync.Map

func removePrograms() (err error) {
	programDirs.Range(func(dir, _ any) bool {
		err = errors.Join(err, os.RemoveAll(dir.(string)))
		return true
	})
	return err
}

// built returns the path of one of the programs.
func built(t *testing.T, name string, plain bool) string {
	t.Helper()
	get := programs
	if plain {
		get = plainPrograms
	}
	dir, err := get()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
