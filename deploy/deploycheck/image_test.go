package deploycheck

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/parley-go/parley/internal/testenv"
)

// imageVariable runs the test of the image.
const imageVariable = "PARLEY_TEST_IMAGE"

// maxImage is the most that the image may have, in bytes.
const maxImage = 40 << 20

// parseDockerfile returns the stages of a Dockerfile and the warnings of BuildKit's linter.
func parseDockerfile(t *testing.T, text []byte) (stages []instructions.Stage, warnings []string) {
	t.Helper()
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		warnings = append(warnings, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	if stages, _, err = instructions.Parse(parsed.AST, lint); err != nil {
		t.Fatal(err)
	}
	return stages, warnings
}

func dockerfile(t *testing.T) (build, final instructions.Stage) {
	t.Helper()
	stages, warnings := parseDockerfile(t, read(t, filepath.Join(deploy, "..", "Dockerfile")))
	for _, w := range warnings {
		t.Errorf("Dockerfile: %s", w)
	}
	if len(stages) != 2 {
		t.Fatalf("the Dockerfile has %d stages, want 2", len(stages))
	}
	return stages[0], stages[1]
}

func TestTheLinterOfBuildKitFindsMistakes(t *testing.T) {
	_, warnings := parseDockerfile(t, []byte("from scratch as Final\nMAINTAINER me\nCMD relay\n"))
	for _, rule := range []string{"MaintainerDeprecated", "StageNameCasing"} {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.HasPrefix(w, rule) }) {
			t.Errorf("no warning of %s: %q", rule, warnings)
		}
	}
}

func TestTheImageHasNoBaseAndRunsTheRelayAsAnotherUser(t *testing.T) {
	_, final := dockerfile(t)
	if final.BaseName != "scratch" {
		t.Errorf("the image is made from %s", final.BaseName)
	}
	image := configOf(final)
	if image.user != "65532:65532" || !slices.Equal(image.entrypoint, []string{"/parley"}) || !slices.Equal(image.cmd, []string{"relay"}) {
		t.Errorf("the image runs %q %q as %s", image.entrypoint, image.cmd, image.user)
	}
}

// A config is what the last stage says of the process.
type config struct {
	user            string
	entrypoint, cmd []string
}

func configOf(s instructions.Stage) (c config) {
	for _, command := range s.Commands {
		switch command := command.(type) {
		case *instructions.UserCommand:
			c.user = command.User
		case *instructions.EntrypointCommand:
			c.entrypoint = command.CmdLine
		case *instructions.CmdCommand:
			c.cmd = command.CmdLine
		}
	}
	return c
}

// ldflags returns the value of -ldflags of the build stage, without variables, and checks that the binary is static.
func ldflags(t *testing.T, build instructions.Stage) string {
	t.Helper()
	for _, command := range build.Commands {
		if r, ok := command.(*instructions.RunCommand); ok {
			if line := strings.Join(r.CmdLine, " "); strings.Contains(line, "go build") {
				_, after, found := strings.Cut(line, `-ldflags "`)
				flags, _, _ := strings.Cut(after, `"`)
				if !found || !strings.Contains(line, "CGO_ENABLED=0") || !strings.Contains(line, "-trimpath") {
					t.Errorf("the build is not static or not reproducible: %s", line)
				}
				return strings.NewReplacer("$VERSION", "0.0.0-test", "$COMMIT", "none", "$DATE", "none").Replace(flags)
			}
		}
	}
	t.Fatal("the first stage builds nothing")
	return ""
}

// rootFS assembles the root file system of the image: it does what the COPY lines of the last stage do. Files of the build stage come from this
// machine, whose packages are those of the build stage.
func rootFS(t *testing.T) (dir string, image config) {
	t.Helper()
	build, final := dockerfile(t)
	dir = t.TempDir()
	made := map[string]string{"/parley": buildParley(t, ldflags(t, build)), "/passwd": "", "/group": ""}
	for name := range made {
		if made[name] == "" {
			made[name] = filepath.Join(t.TempDir(), filepath.Base(name))
			if err := os.WriteFile(made[name], []byte("parley:x:65532:65532:parley:/:/sbin/nologin\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, command := range final.Commands {
		c, ok := command.(*instructions.CopyCommand)
		if !ok {
			continue
		}
		if c.From != build.Name {
			t.Fatalf("the image copies from %q", c.From)
		}
		for _, source := range c.SourcePaths {
			target := filepath.Join(dir, c.DestPath)
			if strings.HasSuffix(c.DestPath, "/") {
				target = filepath.Join(target, filepath.Base(source))
			}
			if own, ok := made[source]; ok {
				source = own
			}
			copyAll(t, source, target)
		}
	}
	return dir, configOf(final)
}

// copyAll copies a file or a folder with its links.
func copyAll(t *testing.T, source, target string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", source, target).CombinedOutput(); err != nil {
		t.Fatalf("copy %s (packages ca-certificates and tzdata): %v\n%s", source, err, out)
	}
}

// size returns the bytes of all regular files below dir; a file with several names counts once.
func size(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	var seen []fs.FileInfo
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || slices.ContainsFunc(seen, func(o fs.FileInfo) bool { return os.SameFile(o, info) }) {
			return err
		}
		seen = append(seen, info)
		bytes += info.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// The relay runs in the root file system of the image, with nothing else of this machine, as the image's user, by its entrypoint.
func TestTheImageIsSmallAndItsRelayPublishesAnEvent(t *testing.T) {
	if os.Getenv(imageVariable) != "1" {
		testenv.SkipOptional(t, imageVariable, "1")
	}
	database, broker := testenv.Postgres(t), testenv.RabbitMQ(t)
	dir, image := rootFS(t)
	if got := size(t, dir); got > maxImage {
		t.Errorf("the image has %.1f MiB, more than %d", float64(got)/(1<<20), maxImage>>20)
	} else {
		t.Logf("the image has %.1f MiB", float64(got)/(1<<20))
	}
	for _, name := range []string{"etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Zurich", "etc/passwd"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("the image lacks %s (%v)", name, err)
		}
	}
	// What Compose and Kubernetes mount.
	for name, content := range map[string]string{
		"run/secrets/broker-url": broker, "run/secrets/database-url": database,
		"etc/parley/parley.yaml": string(read(t, filepath.Join(deploy, "compose", "parley.yaml"))),
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	openUp(t, dir)
	const settings = "--settings=/etc/parley/parley.yaml"
	start := func(args ...string) func(environment ...string) *exec.Cmd {
		return func(environment ...string) *exec.Cmd {
			return inImage(t, dir, image, environment, append(slices.Clone(args), settings)...)
		}
	}
	relayTheFirstEvent(t, start("migrate", "up"), start(image.cmd...), 30*time.Second, "TZ=Europe/Zurich")
}

// openUp lets the image's user reach dir, which is below folders of the test's user.
func openUp(t *testing.T, dir string) {
	t.Helper()
	for at := dir; at != filepath.Dir(at) && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
