package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

const version = "v0.1.0"

// fixture returns a repository with a root module, an internal one, two that use them, and one that is not released.
func fixture(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replace := "\nreplace (\n\texample.com/m => %s\n\texample.com/m/internal/base => %s/internal/base\n\texample.com/m/driver => %s/driver\n)\n"
	goMod := func(path, up string, requires ...string) string {
		text := "module example.com/m" + path + "\n\ngo 1.26.0\n"
		for _, r := range requires {
			text += "\nrequire example.com/m" + r + " v0.0.0\n"
		}
		if len(requires) > 0 {
			text += strings.ReplaceAll(replace, "%s", up)
		}
		return text
	}
	for name, content := range map[string]string{
		"go.work":                 "go 1.26.0\n\nuse (\n\t.\n\t./cmd/tool\n\t./driver\n\t./examples\n\t./internal/base\n)\n",
		"go.mod":                  goMod("", ""),
		"m.go":                    "package m\n",
		"LICENSE":                 "free\n",
		"CHANGELOG.md":            "# Changelog\n\n## Unreleased\n\nNothing.\n\n## 0.1.0 (2026-12-01)\n\nThe first release.\n\n### Added\n\n- All.\n\n## 0.0.9\n\nOld.\n",
		"internal/base/go.mod":    goMod("/internal/base", ""),
		"internal/base/base.go":   "package base\n",
		"driver/go.mod":           goMod("/driver", "..", "", "/internal/base"),
		"driver/go.sum":           "example.org/x v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		"driver/driver.go":        "package driver\n",
		"driver/testdata/a.txt":   "a\n",
		"cmd/tool/go.mod":         goMod("/cmd/tool", "../..", "", "/driver", "/internal/base"),
		"cmd/tool/main.go":        "package main\n\nfunc main() {}\n",
		"examples/go.mod":         goMod("/examples", "..", ""),
		"examples/x.go":           "package examples\n",
		".gitattributes":          "* text=auto eol=lf\n",
		"cmd/tool/.gitignore":     "/tool\n",
		"internal/base/README.md": "# base\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"add", "."}, {"commit", "--quiet", "--message=all"}} {
		mustGit(t, dir, append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgSign=false"}, args...)...)
	}
	return dir
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(t.Context(), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func release1(t *testing.T, repo string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(context.Background(), append(args, "-repo", repo, "-version", version), &out)
	return out.String(), err
}

var wantTags = []string{"cmd/tool/v0.1.0", "driver/v0.1.0", "internal/base/v0.1.0", "v0.1.0"}

func TestADryRunPrintsTheTagsAndMakesNone(t *testing.T) {
	repo := fixture(t)
	out, err := release1(t, repo, "tag")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range wantTags {
		if !strings.Contains(out, tag+"\n") {
			t.Errorf("the dry run does not print %s:\n%s", tag, out)
		}
	}
	if tags := mustGit(t, repo, "tag"); tags != "" || !strings.Contains(out, "dry run: 4 tags, none was made") {
		t.Errorf("after a dry run the repository has the tags %q; it printed:\n%s", tags, out)
	}
}

func TestAllModulesGetATagOnOneCommitThatIsNotOnMain(t *testing.T) {
	repo := fixture(t)
	before := mustGit(t, repo, "rev-parse", "HEAD")
	if _, err := release1(t, repo, "tag", "-yes"); err != nil {
		t.Fatal(err)
	}
	if tags := strings.Split(mustGit(t, repo, "tag"), "\n"); !slices.Equal(tags, wantTags) {
		t.Errorf("got the tags %q", tags)
	}
	commits := map[string]bool{}
	for _, tag := range wantTags {
		commits[mustGit(t, repo, "rev-list", "-1", tag)] = true
	}
	if len(commits) != 1 || commits[before] || mustGit(t, repo, "rev-parse", "HEAD") != before || mustGit(t, repo, "status", "--porcelain") != "" {
		t.Errorf("the tags are on %v, main is on %s", commits, before)
	}
	if text := mustGit(t, repo, "tag", "--list", "--format=%(contents)", version); !strings.Contains(text, "### Added") || strings.Contains(text, "Old") {
		t.Errorf("the message of the tag is %q", text)
	}
	if _, err := release1(t, repo, "tag", "-yes"); err == nil || !strings.Contains(err.Error(), "exist already") {
		t.Errorf("a second release of one version: %v", err)
	}
}

func TestTheTaggedModulesRequireEachOtherAtTheVersion(t *testing.T) {
	repo := fixture(t)
	if _, err := release1(t, repo, "tag", "-yes"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"driver", "cmd/tool"} {
		text := mustGit(t, repo, "show", version+":"+name+"/go.mod")
		if strings.Contains(text, "replace") || strings.Contains(text, "v0.0.0") || !strings.Contains(text, "example.com/m v0.1.0") {
			t.Errorf("%s/go.mod is tagged as\n%s", name, text)
		}
	}
	// The module that is not released stays as it is.
	if text := mustGit(t, repo, "show", version+":examples/go.mod"); !strings.Contains(text, "=> ..") {
		t.Errorf("examples/go.mod is tagged as\n%s", text)
	}
}

// golang.org/x/mod makes the zip file of a tag as the go command does; its checksum must be the one in the go.sum files.
func TestTheChecksumsInGoSumAreThoseOfTheTags(t *testing.T) {
	repo := fixture(t)
	if _, err := release1(t, repo, "tag", "-yes"); err != nil {
		t.Fatal(err)
	}
	sums := mustGit(t, repo, "show", version+":cmd/tool/go.sum")
	if old := mustGit(t, repo, "show", version+":driver/go.sum"); !strings.Contains(old, "example.org/x v1.0.0 h1:") {
		t.Errorf("driver/go.sum lost a line:\n%s", old)
	}
	for _, folder := range []string{"", "internal/base", "driver"} {
		m := module.Version{Path: strings.TrimSuffix("example.com/m/"+folder, "/"), Version: version}
		archive, err := os.Create(filepath.Join(t.TempDir(), "m.zip"))
		if err != nil {
			t.Fatal(err)
		}
		if err := zip.CreateFromVCS(archive, m, repo, version, folder); err != nil {
			t.Fatal(err)
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		sum, err := dirhash.HashZip(archive.Name(), dirhash.Hash1)
		if err != nil {
			t.Fatal(err)
		}
		if line := m.Path + " " + version + " " + sum; !strings.Contains(sums+"\n", line+"\n") {
			t.Errorf("cmd/tool/go.sum lacks %q:\n%s", line, sums)
		}
	}
}

func TestARepeatedReleaseIsTheSameCommit(t *testing.T) {
	repo, first, second := fixture(t), t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if _, err := release1(t, repo, "tree", "-out", dir); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := mustGit(t, filepath.Join(first, "tree"), "rev-parse", "HEAD"), mustGit(t, filepath.Join(second, "tree"), "rev-parse", "HEAD"); a != b {
		t.Errorf("two runs made the commits %s and %s", a, b)
	}
	for _, m := range []string{"example.com/m", "example.com/m/driver", "example.com/m/cmd/tool", "example.com/m/internal/base"} {
		for _, name := range []string{"list", "v0.1.0.info", "v0.1.0.mod", "v0.1.0.zip"} {
			file := filepath.Join("proxy", m, "@v", name)
			a, errA := os.ReadFile(filepath.Join(first, file))
			b, errB := os.ReadFile(filepath.Join(second, file))
			if errA != nil || errB != nil || len(a) == 0 || !bytes.Equal(a, b) {
				t.Errorf("%s differs or is missing (%v, %v)", file, errA, errB)
			}
		}
	}
}

func TestAReleaseNeedsACleanTreeNotesAndAVersion(t *testing.T) {
	repo := fixture(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"tag", "-repo", repo, "-version", "0.1.0"}, `"0.1.0" is not of the form`},
		{[]string{"tag", "-repo", repo, "-version", "v2.0.0"}, "major version"},
		{[]string{"tag", "-repo", repo, "-version", "v0.3.0"}, "no notes for v0.3.0"},
		{[]string{"tree", "-repo", repo, "-version", version}, "-out"},
		{[]string{"verify", "-out", repo, "-version", version}, "-commit"},
		{[]string{"publish", "-version", version}, "unknown command"},
		{nil, "no command"},
	} {
		if err := run(t.Context(), c.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("release %q: %v, want %q", c.args, err, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(repo, "m.go"), []byte("package n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := release1(t, repo, "tag"); err == nil || !strings.Contains(err.Error(), "not committed") {
		t.Errorf("with a changed file: %v", err)
	}
}

func TestModulesThatRequireEachOtherCannotBeReleased(t *testing.T) {
	repo := fixture(t)
	file := filepath.Join(repo, "internal", "base", "go.mod")
	if err := os.WriteFile(file, []byte("module example.com/m/internal/base\n\ngo 1.26.0\n\nrequire example.com/m/driver v0.0.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := load(repo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := released(all); err == nil || !strings.Contains(err.Error(), "requires itself") {
		t.Errorf("got %v", err)
	}
}

func TestNotesAreTheSectionOfTheVersion(t *testing.T) {
	out, err := release1(t, fixture(t), "notes")
	if want := "The first release.\n\n### Added\n\n- All.\n"; err != nil || out != want {
		t.Errorf("got %q, want %q (%v)", out, want, err)
	}
	for heading, found := range map[string]bool{"## 0.1.0": true, "## [0.1.0] - 2026-12-01": true, "## v0.1.0": false, "## 0.1.01": false} {
		if _, err := section([]byte(heading+"\n\nx\n"), version); (err == nil) != found {
			t.Errorf("%q: %v", heading, err)
		}
	}
}

// A tag cannot be taken back: module proxies and the checksum database keep what they have seen of it.
func TestNoTagIsMadeWhileAFileSaysThatTheVersionIsNotReleased(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"heading":     {"CHANGELOG.md", "## 0.1.0 (not released yet)\n\nAll.\n", `the heading "## 0.1.0 (not released yet)" has no date`},
		"README":      {"README.md", "# m\n\nThere is no release yet. Use a clone.\n", "is no longer true"},
		"chart":       {"deploy/helm/parley/Chart.yaml", "version: 0.0.9\nappVersion: \"0.1.0\"\n", `"version: 0.0.9" is not the version 0.1.0`},
		"application": {"deploy/helm/parley/Chart.yaml", "version: 0.1.0\nappVersion: \"0.0.9\"\n", "is not the version 0.1.0"},
		"security":    {"SECURITY.md", "There is no release yet.\n", "is no longer true"},
		"key":         {".github/workflows/release.yml", "on: {}\n", "there is no public key"},
		"nothing":     {"README.md", "# m\n\ngo get example.com/m\n", ""},
	} {
		repo := fixture(t)
		file := filepath.Join(repo, filepath.FromSlash(c.file))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		mustGit(t, repo, "add", ".")
		mustGit(t, repo, "-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgSign=false", "commit", "--quiet", "--message=more")
		out, err := release1(t, repo, "tag")
		if err != nil || (c.want != "") != strings.Contains(out, "to do before the tags are made: ") || !strings.Contains(out, c.want) {
			t.Errorf("%s: a dry run printed %q (%v), want %q", name, out, err, c.want)
		}
		_, err = release1(t, repo, "tag", "-yes")
		if made := mustGit(t, repo, "tag") != ""; made != (c.want == "") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: tags made: %v, error %v, want %q", name, made, err, c.want)
		}
	}
}

// The real repository can be released, and every public module is among the tags.
func TestThisRepositoryHasModulesThatCanBeReleased(t *testing.T) {
	all, err := load(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	list, err := released(all)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, m := range list {
		folders = append(folders, m.folder)
	}
	for _, want := range []string{"", "postgres", "rabbitmq", "service", "cmd/parley", "internal/sqlstore"} {
		if !slices.Contains(folders, want) {
			t.Errorf("%q is not released: %q", want, folders)
		}
	}
	for _, not := range []string{"examples", "benchmarks", "internal/tools", "internal/doccheck", "deploy/deploycheck"} {
		if slices.Contains(folders, not) {
			t.Errorf("%q is released", not)
		}
	}
}
