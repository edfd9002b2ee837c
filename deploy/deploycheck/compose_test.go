package deploycheck

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// composed returns a copy of deploy/compose with secrets, loaded and checked against the schema of Compose.
func composed(t *testing.T) *types.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(deploy, "compose"))); err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeGivesTheRelayTheTimeToShutDown(t *testing.T) {
	relay := composed(t).Services["relay"]
	s := load(t, string(read(t, filepath.Join(deploy, "compose", "parley.yaml"))), "/run/secrets/")
	if relay.StopGracePeriod == nil || time.Duration(*relay.StopGracePeriod) < needed(s) {
		t.Errorf("stop_grace_period is %v, the settings need %v", relay.StopGracePeriod, needed(s))
	}
}

func TestComposeRunsCommandsOfParleyWithoutPrivileges(t *testing.T) {
	project := composed(t)
	if len(project.Services) != 2 {
		t.Errorf("compose.yaml has the services %v", project.ServiceNames())
	}
	for name, s := range project.Services {
		checkCommand(t, name, s.Command)
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s has privileges", name)
		}
		targets := map[string]bool{}
		for _, secret := range s.Secrets {
			targets[filepath.Base(secret.Target)] = true
			if _, ok := project.Secrets[secret.Source]; !ok {
				t.Errorf("%s uses the secret %s, which compose.yaml does not define", name, secret.Source)
			}
		}
		if !targets["broker-url"] || !targets["database-url"] {
			t.Errorf("%s gets the secrets %v, its settings read broker-url and database-url", name, targets)
		}
	}
	test := project.Services["relay"].HealthCheck.Test
	if test[0] != "CMD" || test[1] != "/parley" {
		t.Errorf("the health check %q needs a shell, which the image does not have", test)
	}
	checkCommand(t, "health check", test[2:])
	if d := project.Services["relay"].DependsOn["migrate"]; d.Condition != types.ServiceConditionCompletedSuccessfully {
		t.Errorf("the relay starts when the migration is %s", d.Condition)
	}
}
