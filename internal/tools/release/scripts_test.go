package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// signed returns a folder with checksums that are signed by a new key, and the file of the keys that a verifier trusts.
func signed(t *testing.T) (dist, signers string) {
	t.Helper()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		testenv.Skip(t, "PATH", "needs ssh-keygen of OpenSSH")
	}
	dist, key := writeDist(t, map[string][]byte{"a": []byte("a")}), filepath.Join(t.TempDir(), "key")
	for _, args := range [][]string{
		{"-q", "-t", "ed25519", "-N", "", "-C", "release", "-f", key},
		{"-q", "-Y", "sign", "-n", "file", "-f", key, filepath.Join(dist, "checksums.txt")},
	} {
		if out, err := exec.CommandContext(t.Context(), keygen, args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
		}
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signers = key + ".signers"
	if err := os.WriteFile(signers, []byte(`release@parley namespaces="file" `+string(public)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dist, signers
}

// The script is what the release and its dry run call; the Go part of it has its own tests.
func TestTheScriptRefusesASignatureThatIsNotOfTheChecksumsOrNotOfTheKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // maintainers release on Linux; the script is for bash
	}
	for name, c := range map[string]struct {
		change func(dist string) error
		other  bool   // trust another key
		tool   string // stands in for the Go part
		good   bool
	}{
		"good":      {tool: "true", good: true},
		"other key": {tool: "true", other: true},
		"changed checksums": {tool: "true", change: func(dist string) error {
			return os.WriteFile(filepath.Join(dist, "checksums.txt"), []byte(strings.Repeat("0", 64)+"  a\n"), 0o644)
		}},
		"no signature":  {tool: "true", change: func(dist string) error { return os.Remove(filepath.Join(dist, "checksums.txt.sig")) }},
		"problem found": {tool: "false"},
	} {
		dist, signers := signed(t)
		if c.other {
			_, signers = signed(t)
		}
		if c.change != nil {
			if err := c.change(dist); err != nil {
				t.Fatal(err)
			}
		}
		script := filepath.Join("..", "..", "..", ".ci", "release-verify")
		out, err := exec.CommandContext(t.Context(), "bash", script, version, "abc", dist, signers, c.tool).CombinedOutput()
		if (err == nil) != c.good {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
