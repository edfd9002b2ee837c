package deploycheck

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"sigs.k8s.io/yaml"

	"github.com/parley-go/parley/internal/testenv"
)

func TestTheFilesOfInitAreValid(t *testing.T) {
	testenv.Long(t, "builds cmd/parley")
	root, err := filepath.Abs(filepath.Join(deploy, ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "shop")
	out, err := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(root, "cmd", "parley"), "run", ".",
		"init", dir, "--clone", root, "--with", "docker,ci").CombinedOutput()
	if err != nil {
		t.Fatalf("init failed: %v\n%s", err, out)
	}
	stages, warnings := parseDockerfile(t, read(t, filepath.Join(dir, "Dockerfile")))
	if len(stages) != 2 || len(warnings) != 0 {
		t.Errorf("the Dockerfile has %d stages, want 2, and the warnings %q", len(stages), warnings)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")}, cli.WithProfiles([]string{"service"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) != 3 || project.Services["shop"].Build == nil {
		t.Errorf("compose.yaml has the services %v, want the servers and the service", project.ServiceNames())
	}
	workflow := struct {
		Jobs map[string]struct {
			Steps []struct{ Run, Uses string }
		}
	}{}
	if err := yaml.Unmarshal(read(t, filepath.Join(dir, ".github", "workflows", "ci.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	if steps := workflow.Jobs["test"].Steps; len(steps) != 6 || steps[5].Run != "go test -race ./..." {
		t.Errorf("the workflow has the steps %+v", steps)
	}
}
