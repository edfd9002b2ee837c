package deploycheck

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	"sigs.k8s.io/yaml"
)

// helmVariable names the helm command; make deploy-check builds it and sets the variable.
const helmVariable = "PARLEY_HELM"

// A chart is the chart with one set of values.
type chart struct {
	name string
	args []string
}

var charts = []chart{
	{"default", nil},
	{"service", []string{"--values", filepath.Join(deploy, "helm", "parley", "ci", "service-values.yaml")}},
}

// kubeVersion is set because a helm that was built by "go install" takes itself for one of an old Kubernetes.
const kubeVersion = "--kube-version=1.34.0"

// golden is the file with the output of helm template.
func (c chart) golden() string { return filepath.Join("testdata", "helm", c.name+".yaml") }

func helm(t *testing.T, args ...string) []byte {
	t.Helper()
	binary := os.Getenv(helmVariable)
	if binary == "" {
		testenv.SkipOptional(t, helmVariable, "the path of helm")
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm %q: %v\n%s%s", args, err, out, &problems)
	}
	return out
}

// The other tests check the committed output, without helm. This one shows that it is the output of the chart.
func TestTheCommittedOutputIsThatOfTheChart(t *testing.T) {
	for _, c := range charts {
		args := append([]string{"template", "orders", filepath.Join(deploy, "helm", "parley"), "--namespace", "orders", kubeVersion}, c.args...)
		got := helm(t, args...)
		if os.Getenv("PARLEY_UPDATE") == "1" {
			if err := os.WriteFile(c.golden(), got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := read(t, c.golden()); !bytes.Equal(got, want) {
			t.Errorf("%s is not what helm template prints (update it: PARLEY_UPDATE=1 make deploy-check)", c.golden())
		}
	}
}

func TestTheChartPassesHelmLint(t *testing.T) {
	for _, c := range charts {
		helm(t, append([]string{"lint", "--strict", kubeVersion, filepath.Join(deploy, "helm", "parley")}, c.args...)...)
	}
}

func TestTheChartRejectsAValueThatItDoesNotKnow(t *testing.T) {
	helm(t, "version")
	for _, value := range []string{"replica=3", "settings.http.address=:9090", "migrate.enable=false"} {
		out, err := exec.CommandContext(t.Context(), os.Getenv(helmVariable), "template", filepath.Join(deploy, "helm", "parley"), kubeVersion, "--set", value).CombinedOutput()
		if err == nil {
			t.Errorf("--set %s was accepted", value)
		}
		if !bytes.Contains(out, []byte("values.schema.json")) && !bytes.Contains(out, []byte("schema")) {
			t.Errorf("--set %s: the error does not come from the schema:\n%s", value, out)
		}
	}
}

func TestTheChartHasTheVersionOfTheImageThatTheManifestsName(t *testing.T) {
	var c struct {
		Version    string `json:"version"`
		AppVersion string `json:"appVersion"`
	}
	if err := yaml.Unmarshal(read(t, filepath.Join(deploy, "helm", "parley", "Chart.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	want := "ghcr.io/parley-go/parley:" + c.AppVersion
	if c.Version != c.AppVersion {
		t.Errorf("the chart is %s, its application %s", c.Version, c.AppVersion)
	}
	for _, v := range variants(t)[:3] {
		for _, p := range pods(v.objects) {
			if image := p.spec.Containers[0].Image; image != want {
				t.Errorf("%s: %s runs %s, want %s", v.name, p.name, image, want)
			}
		}
	}
	if compose := read(t, filepath.Join(deploy, "compose", "compose.yaml")); bytes.Count(compose, []byte("image: "+want+"\n")) != 2 {
		t.Errorf("compose.yaml does not run %s twice", want)
	}
}
