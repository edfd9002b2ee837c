//go:build unix

package faulttests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// A model describes a protocol of parley in the language of spin (spinroot.com), which checks every possible order of its
// steps. The mistakes are planted: spin must find each one, which shows that it would find real ones.
type model struct {
	file     string
	mistakes []string
	// endless models wait indefinitely when all work is done, which is not a deadlock.
	endless bool
}

var models = []model{
	{"relay.pml", []string{"PLANT_NOLOCKS", "PLANT_EARLY"}, true},
	{"inbox.pml", []string{"PLANT_CHECKFIRST", "PLANT_EARLYACK"}, false},
	{"settle.pml", []string{"PLANT_NOSESSION"}, false},
	{"claim.pml", []string{"PLANT_NOFENCE", "PLANT_LATEDONE", "PLANT_EARLYACK", "PLANT_TAKEN"}, false},
	{"notify.pml", []string{"PLANT_SNAPSHOTFIRST", "PLANT_LOOKFIRST", "PLANT_ONESNAPSHOT", "PLANT_NOSNAPSHOT"}, false},
	{"promote.pml", []string{"PLANT_REMOVERONLY", "PLANT_APPENDERONLY", "PLANT_EARLY", "PLANT_EAGER", "PLANT_NOSWEEP"}, false},
}

func TestNoOrderOfStepsBreaksTheModelsAndEachPlantedMistakeDoes(t *testing.T) {
	needAll(t)
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.Skip(t, "PATH", "needs "+tool+" to check the models (Debian: apt-get install spin gcc)")
		}
	}
	for _, m := range models {
		t.Run(m.file, func(t *testing.T) {
			t.Parallel()
			if report := m.check(t, ""); !strings.Contains(report, "errors: 0") || strings.Contains(report, "not completed") {
				t.Errorf("the model has an error, or the search was not completed:\n%s", report)
			}
			for _, mistake := range m.mistakes {
				if report := m.check(t, mistake); !strings.Contains(report, "assertion violated") {
					t.Errorf("%s was not found:\n%s", mistake, report)
				}
			}
		})
	}
}

// check searches the whole model, with or without a mistake, and returns the report.
func (m model) check(t *testing.T, mistake string) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("models", m.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if mistake != "" {
		text = append([]byte("#define "+mistake+"\n"), text...)
	}
	if err := os.WriteFile(filepath.Join(dir, m.file), text, 0o600); err != nil {
		t.Fatal(err)
	}
	run("spin", "-a", m.file)
	run("gcc", "-O2", "-DSAFETY", "-DMEMLIM=2000", "-o", "pan", "pan.c")
	args := []string{"-m200000"}
	if m.endless {
		args = append(args, "-E")
	}
	return run(filepath.Join(dir, "pan"), args...)
}
