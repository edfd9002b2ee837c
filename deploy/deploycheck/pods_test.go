package deploycheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
	"github.com/parley-go/parley/service/settings"
)

// A pod is the template of a Deployment or of a Job.
type pod struct {
	name   string
	labels map[string]string
	spec   core.PodSpec
}

func pods(objects []any) (out []pod) {
	for _, d := range find[apps.Deployment](objects) {
		out = append(out, pod{"Deployment " + d.Name, d.Spec.Template.Labels, d.Spec.Template.Spec})
	}
	for _, j := range find[batch.Job](objects) {
		out = append(out, pod{"Job " + j.Name, j.Spec.Template.Labels, j.Spec.Template.Spec})
	}
	return out
}

func (p *pod) volume(name string) core.Volume {
	for _, v := range p.spec.Volumes {
		if v.Name == name {
			return v
		}
	}
	return core.Volume{}
}

// settings loads the settings file that the pod mounts, with URLs in the files that it names.
func (p *pod) settings(t *testing.T, objects []any) *settings.Settings {
	t.Helper()
	for _, c := range find[core.ConfigMap](objects) {
		if v := p.volume("settings").ConfigMap; v != nil && v.Name == c.Name {
			return load(t, c.Data["parley.yaml"], "/run/secrets/parley/")
		}
	}
	t.Fatalf("%s mounts no settings", p.name)
	return nil
}

// load loads a settings file whose secrets are files of one folder; "" if it names none.
func load(t *testing.T, text, folder string) *settings.Settings {
	t.Helper()
	dir := t.TempDir() + "/"
	if folder != "" {
		text = strings.ReplaceAll(text, folder, dir)
	}
	for name, content := range map[string]string{
		"parley.yaml":  text,
		"broker-url":   "amqps://orders:x@rabbitmq/shop\n",
		"database-url": "postgres://orders:x@postgres/orders\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := settings.Load(&settings.LoadOptions{File: dir + "parley.yaml", Environ: []string{}})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if folder != "" && (s.Broker.URL.String() == "" || s.Database.URL.String() == "") {
		t.Errorf("the settings do not read the URLs from the files of %s", folder)
	}
	return s
}

// needed is the time that a process needs to shut down with these settings; see docs/operations.md.
func needed(s *settings.Settings) time.Duration {
	return max(s.Relay.ShutdownTimeout, s.Consumer.ShutdownTimeout) + 3*time.Second
}

func TestEveryPodHasTheTimeToShutDown(t *testing.T) {
	for _, v := range variants(t) {
		for _, p := range pods(v.objects) {
			if strings.HasPrefix(p.name, "Job ") {
				continue
			}
			if got, want := time.Duration(*p.spec.TerminationGracePeriodSeconds)*time.Second, needed(p.settings(t, v.objects)); got < want {
				t.Errorf("%s, %s: terminationGracePeriodSeconds is %v, its settings need %v", v.name, p.name, got, want)
			}
		}
	}
}

func TestEveryPodRunsWithoutPrivileges(t *testing.T) {
	for _, v := range variants(t) {
		for _, p := range pods(v.objects) {
			for promise, kept := range map[string]bool{
				"runs as non-root":         p.spec.SecurityContext != nil && *p.spec.SecurityContext.RunAsNonRoot && *p.spec.SecurityContext.RunAsUser != 0,
				"has a seccomp profile":    p.spec.SecurityContext.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
				"has no token":             p.spec.AutomountServiceAccountToken != nil && !*p.spec.AutomountServiceAccountToken,
				"has no service links":     p.spec.EnableServiceLinks != nil && !*p.spec.EnableServiceLinks,
				"is one container":         len(p.spec.Containers) == 1 && len(p.spec.InitContainers) == 0,
				"shares nothing with host": !p.spec.HostNetwork && !p.spec.HostPID && !p.spec.HostIPC,
			} {
				if !kept {
					t.Errorf("%s: %s does not keep: %s", v.name, p.name, promise)
				}
			}
			c := p.spec.Containers[0]
			if s := c.SecurityContext; s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
				t.Errorf("%s: %s has privileges", v.name, p.name)
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
				t.Errorf("%s: %s bounds no memory or requests nothing", v.name, p.name)
			}
			for _, e := range c.Env {
				t.Errorf("%s: %s has the variable %s: secrets are files", v.name, p.name, e.Name)
			}
			if mode := p.volume("secrets").Secret.DefaultMode; mode == nil || *mode != 0o440 {
				t.Errorf("%s: %s: the files of the Secret are not readable by their group alone", v.name, p.name)
			}
		}
	}
}

func TestEveryPodRunsACommandOfParley(t *testing.T) {
	for _, v := range variants(t) {
		for _, p := range pods(v.objects) {
			checkCommand(t, v.name+", "+p.name, p.spec.Containers[0].Args)
		}
	}
}

// checkCommand fails the test unless args are a command of a service's binary, with flags that it has.
func checkCommand(t *testing.T, where string, args []string) {
	t.Helper()
	found, rest, err := command.New("parley", func(*service.Service) error { return nil }).Find(args)
	if err != nil || found.HasSubCommands() {
		t.Errorf("%s: %q is no command (%v)", where, args, err)
		return
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Errorf("%s: %q: %v", where, args, err)
	}
	if left := found.Flags().Args(); len(left) != 0 {
		t.Errorf("%s: %q has the arguments %q", where, args, left)
	}
	if f := found.Flag("settings"); f == nil || f.Value.String() != "/etc/parley/parley.yaml" {
		t.Errorf("%s: %q does not name the settings file that is mounted", where, args)
	}
}

func TestProbesAskTheEndpointsThatTheSettingsServe(t *testing.T) {
	for _, v := range variants(t) {
		for _, p := range pods(v.objects) {
			if strings.HasPrefix(p.name, "Job ") {
				continue
			}
			c, s := p.spec.Containers[0], p.settings(t, v.objects)
			if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Errorf("%s: %s: liveness is %s, readiness is %s", v.name, p.name, c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path)
			}
			for _, probe := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe} {
				if probe.HTTPGet.Port.String() != c.Ports[0].Name || c.Ports[0].ContainerPort != 8080 || s.HTTP.Address != ":8080" {
					t.Errorf("%s: %s: a probe asks port %s, the container has %v, the settings serve %s", v.name, p.name, &probe.HTTPGet.Port, c.Ports, s.HTTP.Address)
				}
			}
			if !s.HTTP.Metrics {
				t.Errorf("%s: a ServiceMonitor reads metrics that http.metrics does not serve", v.name)
			}
		}
	}
}

func TestSelectorsMatchThePods(t *testing.T) {
	for _, v := range variants(t) {
		selectors := map[string]*meta.LabelSelector{}
		for _, d := range find[apps.Deployment](v.objects) {
			selectors["Deployment"] = d.Spec.Selector
		}
		for _, b := range find[policy.PodDisruptionBudget](v.objects) {
			selectors["PodDisruptionBudget"] = b.Spec.Selector
		}
		for _, n := range find[networking.NetworkPolicy](v.objects) {
			selectors["NetworkPolicy"] = &n.Spec.PodSelector
		}
		for _, s := range find[core.Service](v.objects) {
			selectors["Service"] = &meta.LabelSelector{MatchLabels: s.Spec.Selector}
		}
		all := pods(v.objects)
		for kind, selector := range selectors {
			s, err := meta.LabelSelectorAsSelector(selector)
			if err != nil || s.Empty() || !s.Matches(labels.Set(all[0].labels)) {
				t.Errorf("%s: the selector of the %s does not match %v (%v)", v.name, kind, all[0].labels, err)
			}
			if kind != "NetworkPolicy" && s.Matches(labels.Set(all[1].labels)) {
				t.Errorf("%s: the selector of the %s matches the pod of the migration", v.name, kind)
			}
		}
		for _, m := range find[monitoring.ServiceMonitor](v.objects) {
			s, err := meta.LabelSelectorAsSelector(&m.Spec.Selector)
			service := find[core.Service](v.objects)[0]
			if err != nil || !s.Matches(labels.Set(service.Labels)) || m.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name {
				t.Errorf("%s: the ServiceMonitor does not match the Service (%v)", v.name, err)
			}
		}
	}
}

func TestTheMigrationHasTheLoginOfAnotherRole(t *testing.T) {
	for _, v := range variants(t) {
		all := pods(v.objects)
		if relay, migrate := all[0].volume("secrets").Secret.SecretName, all[1].volume("secrets").Secret.SecretName; relay == migrate {
			t.Errorf("%s: relay and migration have one Secret, %s", v.name, relay)
		}
	}
}
