// Package deploycheck checks the files of deploy: each manifest decodes strictly into the types of Kubernetes, its settings are valid
// settings of parley, its commands exist, and its time to shut down fits the settings. It also checks the JSON Schema of the settings,
// because this module has a validator.
package deploycheck

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// deploy is the folder of the files from this one.
const deploy = ".."

// kinds are the types of the objects that the manifests may contain.
var kinds = map[string]func() any{
	"v1/ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1/Secret":                               func() any { return new(core.Secret) },
	"v1/Service":                              func() any { return new(core.Service) },
	"v1/ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"apps/v1/Deployment":                      func() any { return new(apps.Deployment) },
	"batch/v1/Job":                            func() any { return new(batch.Job) },
	"policy/v1/PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1/ServiceMonitor": func() any { return new(monitoring.ServiceMonitor) },
}

// decode returns the objects of a stream of YAML documents. An unknown or duplicate field is an error.
func decode(t *testing.T, name string, text []byte) []any {
	t.Helper()
	var out []any
	for i, doc := range bytes.Split(append([]byte("\n"), text...), []byte("\n---")) {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatalf("%s, document %d: %v", name, i+1, err)
		}
		if head.Kind == "" && len(uncommented(doc)) == 0 {
			continue
		}
		create := kinds[head.APIVersion+"/"+head.Kind]
		if create == nil {
			t.Fatalf("%s, document %d: unknown kind %q of %q", name, i+1, head.Kind, head.APIVersion)
		}
		object := create()
		if err := yaml.UnmarshalStrict(doc, object); err != nil {
			t.Fatalf("%s, document %d, %s: %v", name, i+1, head.Kind, err)
		}
		out = append(out, object)
	}
	if len(out) == 0 {
		t.Fatalf("%s has no objects", name)
	}
	return out
}

// uncommented returns the lines of a document that are neither empty nor comments.
func uncommented(doc []byte) (lines []string) {
	for line := range strings.Lines(string(doc)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && line != "---" {
			lines = append(lines, line)
		}
	}
	return lines
}

// kustomized returns the output of kustomize for a folder.
func kustomized(t *testing.T, folder string) []byte {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(deploy, folder))
	if err != nil {
		t.Fatalf("kustomize build deploy/%s: %v", folder, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A variant is a set of manifests that a user can apply, with the Secrets that it expects.
type variant struct {
	name    string
	objects []any
}

// variants returns all sets of manifests: those of kustomize, and the committed output of the chart.
func variants(t *testing.T) []variant {
	t.Helper()
	out := []variant{
		{"kubernetes/base", decode(t, "kubernetes/base", kustomized(t, "kubernetes/base"))},
		{"kubernetes/production", decode(t, "kubernetes/production", kustomized(t, "kubernetes/production"))},
	}
	for _, c := range charts {
		out = append(out, variant{"helm/" + c.name, decode(t, c.golden(), read(t, c.golden()))})
	}
	return out
}

// find returns the objects of one type.
func find[T any](objects []any) (out []*T) {
	for _, o := range objects {
		if typed, ok := o.(*T); ok {
			out = append(out, typed)
		}
	}
	return out
}

func TestEverySetOfManifestsHasAllItsParts(t *testing.T) {
	for _, v := range variants(t) {
		counts := map[string]int{
			"Deployment": len(find[apps.Deployment](v.objects)), "Job": len(find[batch.Job](v.objects)),
			"PodDisruptionBudget": len(find[policy.PodDisruptionBudget](v.objects)), "NetworkPolicy": len(find[networking.NetworkPolicy](v.objects)),
			"ServiceMonitor": len(find[monitoring.ServiceMonitor](v.objects)), "Service": len(find[core.Service](v.objects)),
			"ServiceAccount": len(find[core.ServiceAccount](v.objects)),
		}
		for kind, n := range counts {
			if n != 1 {
				t.Errorf("%s has %d objects of kind %s, want 1", v.name, n, kind)
			}
		}
	}
}

func TestTheSecretsExampleHasTheFilesThatTheManifestsMount(t *testing.T) {
	keys := map[string]map[string]string{}
	for _, s := range find[core.Secret](decode(t, "secrets.example.yaml", read(t, filepath.Join(deploy, "kubernetes", "secrets.example.yaml")))) {
		keys[s.Name] = s.StringData
	}
	for _, v := range variants(t)[:2] {
		for _, p := range pods(v.objects) {
			secret := p.volume("secrets").Secret
			if secret == nil || keys[secret.SecretName]["broker-url"] == "" || keys[secret.SecretName]["database-url"] == "" {
				t.Errorf("%s, %s: the Secret of the volume %q lacks a URL in secrets.example.yaml", v.name, p.name, "secrets")
			}
		}
	}
}

// A strict decoder is what finds a misspelt field; this proves that ours is one.
func TestAnUnknownFieldIsAnError(t *testing.T) {
	var d apps.Deployment
	if err := yaml.UnmarshalStrict([]byte("spec: {template: {spec: {terminationGracePeriod: 30}}}"), &d); err == nil {
		t.Error("a field that Kubernetes does not have was accepted")
	}
}
