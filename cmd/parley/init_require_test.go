package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// written creates a service with docker and ci, and returns its folder and the output of init.
func written(t *testing.T) (dir, out string) {
	t.Helper()
	testenv.Long(t, "loads all dependencies")
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd, b := program(t.Context(), t, "init", "a/shop", "--clone", clone, "--with", "docker,ci")
	if err := cmd.Run(); err != nil {
		t.Fatalf("init failed: %v\n%s", err, b)
	}
	return filepath.Join(cmd.Dir, "a", "shop"), b.String()
}

func text(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheWrittenModuleRequiresWhatItImportsByARelativePath(t *testing.T) {
	dir, out := written(t)
	mod := text(t, dir, "go.mod")
	var direct []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(mod, -1) {
		direct = append(direct, m[1])
	}
	if got := strings.Join(direct, " "); got != parleyModule+" "+serviceModule {
		t.Errorf("direct requirements: %s", got)
	}
	targets := regexp.MustCompile(`=> (\S+)`).FindAllStringSubmatch(mod, -1)
	if len(targets) < 10 {
		t.Errorf("%d modules are replaced, want all of parley:\n%s", len(targets), mod)
	}
	for _, m := range targets {
		if !strings.HasPrefix(m[1], "../") {
			t.Errorf("%s is not a relative path", m[1])
		}
		if _, err := os.Stat(filepath.Join(dir, m[1], "go.mod")); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(out, "note:") {
		t.Logf("without a network tidy is not checked: %s", out)
		return
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "tidy", "-diff")
	cmd.Dir = dir
	if diff, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go.mod is not tidy: %v\n%s", err, diff)
	}
}

// The go.mod of the service finds the clone in the image and on the CI machine.
func TestTheImageAndTheWorkflowPutTheCloneWhereGoModExpectsIt(t *testing.T) {
	dir, _ := written(t)
	clone := regexp.MustCompile(regexp.QuoteMeta(parleyModule) + ` => (\S+)`).FindStringSubmatch(text(t, dir, "go.mod"))[1]
	for file, places := range map[string][2]*regexp.Regexp{
		"Dockerfile":               {regexp.MustCompile(`WORKDIR (/src/\S+)`), regexp.MustCompile(`COPY --from=parley \. (\S+)`)},
		".github/workflows/ci.yml": {regexp.MustCompile(`working-directory: (\S+)}`), regexp.MustCompile(`repository: parley-go/parley, path: (\S+)}`)},
	} {
		content := text(t, dir, filepath.FromSlash(file))
		service, beside := places[0].FindStringSubmatch(content), places[1].FindStringSubmatch(content)
		if service == nil || beside == nil || path.Join(service[1], clone) != beside[1] {
			t.Errorf("%s puts the service in %q and the clone in %q, but go.mod expects %s", file, service, beside, clone)
		}
	}
	if compose := text(t, dir, "compose.yaml"); !strings.Contains(compose, "parley: "+clone+"\n") || !strings.Contains(compose, "PARLEY_DATABASE_URL: postgres://") {
		t.Errorf("compose.yaml does not build and configure the service:\n%s", compose)
	}
}

func TestAPathUpNeedsFoldersToGoUpFrom(t *testing.T) {
	for rel, want := range map[string][2]string{
		"../parley": {"", "parley"}, "../../go/parley": {"x/", "go/parley"}, "../../../p": {"x/x/", "p"}, "parley": {"", "shop/parley"}, "": {"", "shop"},
	} {
		if d := depth(rel); d != want[0] || beside(d+"shop", rel) != want[1] {
			t.Errorf("%q: depth %q, beside %q, want %q", rel, d, beside(d+"shop", rel), want)
		}
	}
}
