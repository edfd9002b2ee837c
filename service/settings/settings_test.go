package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func checkSample(t *testing.T, s *Settings, f *field, given, from string) {
	t.Helper()
	if s.sources[f.key].text != from {
		t.Errorf("source is %q, want %q", s.sources[f.key].text, from)
	}
	v := f.value(s)
	want := samples[f.key].want
	switch {
	case f.kind == kindCredential:
		if s.REST.Credential["login"] != "me" {
			t.Errorf("credential lacks the login")
		}
	case f.twin == "rest.credential":
		if s.REST.Credential["login"] != "me" {
			t.Errorf("the file's credential was not taken")
		}
	case f.twin == "broker.urls":
		if len(s.Broker.URLs) != 1 || s.Broker.URLs[0].Reveal() != fileText(t, given) {
			t.Errorf("the file's URLs were not taken")
		}
	case f.twin == "consumer.secrets":
		if len(s.Consumer.Secrets) != 1 || s.Consumer.Secrets[0].Reveal() != fileText(t, given) {
			t.Errorf("the file's secrets were not taken")
		}
	case f.twin != "":
		if !strings.Contains(fieldByKey(f.twin).value(s).Convert(reflect.TypeFor[string]()).String(), fileText(t, given)) {
			t.Errorf("the file's secret was not taken")
		}
	case want == nil:
		if v.String() != given {
			t.Errorf("got %v, want %v", v, given)
		}
	case f.kind == kindDuration:
		if got := fmt.Sprint(v.Interface()); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	default:
		if diff := cmp.Diff(want, v.Interface()); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
	}
}

// withSecretFile replaces @text by the name of a file that holds the text.
func withSecretFile(t *testing.T, sample string) string {
	if !strings.HasPrefix(sample, "@") {
		return sample
	}
	return writeFile(t, "secret", fileText(t, sample)+"\n")
}

// fileText is the text of a sample that goes into a file.
func fileText(t *testing.T, sample string) string {
	text, ok := strings.CutPrefix(sample, "@")
	if !ok {
		t.Fatalf("the sample %q of a file does not begin with @", sample)
	}
	return text
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func nest(names []string, value string) string {
	var b strings.Builder
	for i, name := range names {
		b.WriteString(strings.Repeat("  ", i) + name + ":")
		if i < len(names)-1 {
			b.WriteString("\n")
		}
	}
	return b.String() + " " + value + "\n"
}

// environ turns "a.b=c" into PARLEY_A_B=c.
func environ(pairs string) []string {
	out := []string{}
	for _, pair := range strings.Fields(pairs) {
		key, value, _ := strings.Cut(pair, "=")
		out = append(out, fieldByKey(key).env()+"="+value)
	}
	return out
}

func TestFlagsOverrideTheEnvironmentAndTheEnvironmentOverridesTheFile(t *testing.T) {
	file := writeFile(t, "s.yaml", "app_id: file\nqueue: file\ntopology: verify\nbroker: {password: file, host: file}\n")
	secret := writeFile(t, "secret", "of the environment")
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--app-id", "flag", "--settings", file}); err != nil {
		t.Fatal(err)
	}
	s, err := Load(&LoadOptions{Flags: fs, Environ: []string{"PARLEY_APP_ID=env", "PARLEY_QUEUE=env", "PARLEY_TOPOLOGY=", "PARLEY_BROKER_PASSWORD_FILE=" + secret}})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{s.AppID, s.Queue, s.Topology, s.Broker.Password.Reveal()}
	if diff := cmp.Diff([]string{"flag", "env", "verify", "of the environment"}, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestAURLOfAHigherLayerReplacesTheParametersOfALowerOne(t *testing.T) {
	file := writeFile(t, "s.yaml", "broker: {host: file, port: 1, virtual_host: x}\n")
	s, err := Load(&LoadOptions{File: file, Environ: []string{"PARLEY_BROKER_URL=amqp://u:p@env/"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Broker.Host != "" || s.Broker.Port != 0 || s.Broker.URL != "amqp://u:p@env/" {
		t.Errorf("broker is %+v, want only the URL of the environment", s.Broker)
	}
}

func TestSettingsMadeByAProgramAreCheckedToo(t *testing.T) {
	s := &Settings{Relay: Relay{BatchSize: -1, Mode: "chaos"}, Exchanges: []Exchange{{Name: "a", Type: "fan"}}, Topology: "maybe"}
	mistakes := s.complete(nil)
	if len(mistakes) != 4 {
		t.Errorf("%d mistakes, want 4: %v", len(mistakes), mistakes)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEverySettingButPasswordsCanBeGivenAsAFlag(t *testing.T) {
	for _, f := range fields() {
		t.Run(f.key, func(t *testing.T) {
			fs := pflag.NewFlagSet("", pflag.ContinueOnError)
			AddFlags(fs)
			if f.flag() == "" {
				if name := strings.NewReplacer(".", "-", "_", "-").Replace(f.key); fs.Lookup(name) != nil {
					t.Errorf("--%s would show a password to every user of the machine", name)
				}
				return
			}
			if err := fs.Parse([]string{"--" + f.flag() + "=" + withSecretFile(t, samples[f.key].text)}); err != nil {
				t.Fatal(err)
			}
			s, err := Load(&LoadOptions{Environ: environ(needed[f.key]), Flags: fs})
			if err != nil {
				t.Fatal(err)
			}
			checkSample(t, s, &f, samples[f.key].text, "flag --"+f.flag())
		})
	}
}
