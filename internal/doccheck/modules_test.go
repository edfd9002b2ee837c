package doccheck

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// moduleFolders returns the folders of all go.mod files, relative to the root.
func moduleFolders(t *testing.T) (folders []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".bin", "testdata"}, d.Name()) {
			return fs.SkipDir
		}
		if d.Name() == "go.mod" {
			folder, err := filepath.Rel(root, filepath.Dir(path))
			folders = append(folders, filepath.ToSlash(folder))
			return err
		}
		return nil
	})
	if err != nil || len(folders) < 10 {
		t.Fatalf("found the modules %q (%v)", folders, err)
	}
	return folders
}

// goCommand runs the go command in a folder with additional environment variables, and returns its output.
func goCommand(t *testing.T, folder string, environment []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), environment...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s in %s: %v\n%s%s", strings.Join(args, " "), folder, err, out, &problems)
	}
	return string(out)
}

// apart are the modules that are not in go.work. Each has a make target of its own.
var apart = map[string]string{
	"deploy/deploycheck": "the types of Kubernetes would make each vet, lint and race build minutes longer (make deploy-check)",
}

// The pattern work includes only the modules that go.work names.
func TestEveryModuleIsInTheWorkspace(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range moduleFolders(t) {
		if apart[folder] != "" {
			continue
		}
		if !regexp.MustCompile(`(?m)^\s+(\./)?` + regexp.QuoteMeta(folder) + `$`).Match(text) {
			t.Errorf("go.work does not use %s", folder)
		}
	}
}

var (
	goLine      = regexp.MustCompile(`(?m)^go (\S+)$`)
	siblingLine = regexp.MustCompile(`(?m)^\s*(?:require )?(github\.com/parley-go/parley\S*) (v\S+)`)
)

func TestAllModulesAreOfOneVersionOfGoAndOfParley(t *testing.T) {
	goVersions, siblings := map[string]string{}, map[string]string{}
	for _, folder := range moduleFolders(t) {
		text, err := os.ReadFile(filepath.Join(root, folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		goVersions[string(goLine.FindSubmatch(text)[1])] = folder
		for _, m := range siblingLine.FindAllSubmatch(text, -1) {
			siblings[string(m[2])] = folder
		}
		if strings.Contains(string(text), "\ntoolchain ") {
			t.Errorf("%s/go.mod names a toolchain, which users must be free to choose", folder)
		}
	}
	if len(goVersions) != 1 || len(siblings) != 1 {
		t.Errorf("go.mod files name the Go versions %v and the versions %v of the modules of this repository, want one each", goVersions, siblings)
	}
}

func TestEveryModuleBuildsAlone(t *testing.T) {
	testenv.Long(t, "builds every module")
	for _, folder := range moduleFolders(t) {
		goCommand(t, filepath.Join(root, folder), []string{"GOWORK=off"}, "build", "-o", os.DevNull, "./...")
	}
}

// Users audit and update each module that their program links.
func TestAProgramOnPostgreSQLAndRabbitMQLinksFewModules(t *testing.T) {
	dir := userModule(t, "links")
	write(t, filepath.Join(dir, "main.go"), []byte(`package main

import (
	_ "github.com/parley-go/parley"
	_ "github.com/parley-go/parley/postgres"
	_ "github.com/parley-go/parley/rabbitmq"
)

func main() {}
`))
	modules := linkedModules(goCommand(t, dir, []string{"GOWORK=off", "GOFLAGS=-mod=mod"}, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "."))
	modules = slices.DeleteFunc(modules, func(path string) bool { return path == "example.com/links" })
	t.Logf("%d modules: %s", len(modules), strings.Join(modules, " "))
	if len(modules) > 15 || len(modules) < 5 {
		t.Errorf("the program links %d modules, want 5 to 15", len(modules))
	}
	for _, path := range modules {
		for _, other := range []string{"spf13", "knadh", "prometheus", "sqlite", "mysql", "opentelemetry"} {
			if strings.Contains(path, other) {
				t.Errorf("the program links %s", path)
			}
		}
	}
}

func linkedModules(list string) []string {
	modules := strings.Fields(list)
	slices.Sort(modules)
	return slices.Compact(modules)
}
