package deploycheck

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// A unit is a systemd unit: the values of each key of [Service], in their order.
type unit map[string][]string

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	return unitOf(t, filepath.Join(deploy, "systemd", name))
}

func unitOf(t *testing.T, name string) unit {
	t.Helper()
	u, section := unit{}, ""
	for line := range strings.Lines(string(read(t, name))) {
		line = strings.TrimSpace(line)
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case strings.HasPrefix(line, "#"), line == "":
		case !isKey:
			t.Fatalf("%s: %q is no assignment", name, line)
		case section == "[Service]":
			u[key] = append(u[key], value)
		}
	}
	return u
}

// command returns the arguments of ExecStart.
func (u unit) command(t *testing.T) []string {
	t.Helper()
	if len(u["ExecStart"]) != 1 {
		t.Fatalf("the unit has the commands %q, want 1", u["ExecStart"])
	}
	args := strings.Fields(u["ExecStart"][0])
	if args[0] != "/usr/local/bin/parley" {
		t.Errorf("the unit runs %s", args[0])
	}
	return args[1:]
}

// credentials returns the files of LoadCredential by their names.
func (u unit) credentials() map[string]string {
	out := map[string]string{}
	for _, c := range u["LoadCredential"] {
		name, file, _ := strings.Cut(c, ":")
		out[name] = file
	}
	return out
}

var units = []string{"parley-relay.service", "parley-migrate.service"}

func TestUnitsRunCommandsOfParleyWithCredentialsOfSystemd(t *testing.T) {
	for _, name := range units {
		u := readUnit(t, name)
		checkCommand(t, name, u.command(t))
		for _, variable := range u["Environment"] {
			_, file, _ := strings.Cut(variable, "=%d/")
			if u.credentials()[file] == "" {
				t.Errorf("%s: %s is no file of LoadCredential", name, variable)
			}
		}
		if len(u["Environment"]) != 2 {
			t.Errorf("%s sets %q, want both URLs", name, u["Environment"])
		}
	}
	if relay, owner := readUnit(t, units[0]).credentials()["database-url"], readUnit(t, units[1]).credentials()["database-url"]; relay == owner {
		t.Errorf("relay and migration have one login, %s", relay)
	}
}

func TestTheUnitGivesTheRelayTheTimeToShutDown(t *testing.T) {
	limit, err := time.ParseDuration(readUnit(t, units[0])["TimeoutStopSec"][0])
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, string(read(t, filepath.Join(deploy, "systemd", "parley.yaml"))), "")
	if limit < needed(s) {
		t.Errorf("TimeoutStopSec is %v, the settings need %v", limit, needed(s))
	}
}

// systemd itself judges the units: no unknown key, and little that an attacker in the process could reach.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if runtime.GOOS != "linux" {
			return // TestUnitsRunCommandsOfParleyWithCredentialsOfSystemd reads the units everywhere
		}
		testenv.Skip(t, "PATH", "needs systemd-analyze of the package systemd")
	}
	for _, name := range units {
		// The program need not be installed here.
		text := bytes.ReplaceAll(read(t, filepath.Join(deploy, "systemd", name)), []byte("/usr/local/bin/parley"), []byte("/bin/true"))
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"verify", file}, {"security", "--no-pager", "--offline=true", "--threshold=20", file}} {
			out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput()
			if err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("systemd-analyze %s %s: %v\n%s", args[0], name, err, out)
			}
		}
	}
}

func TestSystemdRejectsAMisspeltKey(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testenv.Skip(t, "PATH", "needs systemd-analyze of the package systemd")
	}
	file := filepath.Join(t.TempDir(), "parley-relay.service")
	if err := os.WriteFile(file, []byte("[Service]\nExecStart=/bin/true\nTimeoutStop=30s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.CommandContext(t.Context(), analyze, "verify", file).CombinedOutput(); !bytes.Contains(out, []byte("TimeoutStop")) {
		t.Errorf("systemd-analyze verify did not report an unknown key: %q", out)
	}
}
