package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestEverySettingHasASample(t *testing.T) {
	for _, f := range fields() {
		if _, ok := samples[f.key]; !ok {
			t.Errorf("no sample for %s: add one to samples", f.key)
		}
		if f.doc == "" {
			t.Errorf("%s has no doc", f.key)
		}
	}
	if len(samples) != len(fields()) {
		t.Errorf("%d samples for %d settings", len(samples), len(fields()))
	}
}

func TestEverySettingCanBeGivenInTheFile(t *testing.T) {
	for _, f := range fields() {
		t.Run(f.key, func(t *testing.T) {
			names := strings.Split(f.key, ".")
			doc := nest(names, withSecretFile(t, samples[f.key].yaml))
			s, err := Load(&LoadOptions{File: writeFile(t, "s.yaml", doc), Environ: environ(needed[f.key])})
			if err != nil {
				t.Fatalf("%v\n%s", err, doc)
			}
			checkSample(t, s, &f, samples[f.key].yaml, "s.yaml: "+f.key)
		})
	}
}

func TestEverySettingCanBeGivenInTheEnvironment(t *testing.T) {
	for _, f := range fields() {
		t.Run(f.key, func(t *testing.T) {
			text := withSecretFile(t, samples[f.key].text)
			s, err := Load(&LoadOptions{Environ: append(environ(needed[f.key]), f.env()+"="+text)})
			if err != nil {
				t.Fatal(err)
			}
			checkSample(t, s, &f, samples[f.key].text, "environment variable "+f.env())
		})
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

func TestAllMistakesAreReportedAtOnceEachWithItsSourceAndAHint(t *testing.T) {
	file := writeFile(t, "parley.yaml", `
app_idd: shop
brokr: {url: "amqp://x"}
broker.heartbeat: 10s
broker: {url: "http://x", host: h, tls: {cert_file: c}}
queue: 5
exchanges: [{name: a, typ: fanout}, {name: b, type: fan}, 7]
relay: {batch_size: many, poll_interval: 5, hold_limit: 1h, mode: chaos}
database: {url: "oracle://x"}
`)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--consumer-prefetch=70000"}); err != nil {
		t.Fatal(err)
	}
	_, err := Load(&LoadOptions{File: file, Flags: fs, Environ: []string{
		"PARLEY_LOG_LEVEL=loud", "PARLEY_DATABSE_URL=x", "PARLEY_BROKER_WINDOW=tcp://10.0.0.1:80", "PARLEY_RELAY_SERVICE_HOST=10.0.0.1",
	}})
	mistakes, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error is %v, want a *Error", err)
	}
	for _, want := range []string{
		"parley.yaml: app_idd: unknown setting (did you mean app_id?)",
		"parley.yaml: brokr.url: unknown setting (did you mean broker.url?)",
		"parley.yaml: broker.heartbeat: unknown setting (write heartbeat: below broker:)",
		"parley.yaml: broker.url: broker.url and broker.host are both given (give one of them)",
		"parley.yaml: queue: must be text, not a number (put it in quotes)",
		`parley.yaml: exchanges: item 1: unknown name "typ" (did you mean type?)`,
		`parley.yaml: relay.batch_size: "many" is not a whole number`,
		"parley.yaml: relay.poll_interval: must be a duration with a unit (write it as 5s, 300ms or 1m30s)",
		`parley.yaml: relay.mode: "chaos" is not known (use ordered or parallel)`,
		"parley.yaml: database.url: is not the URL of a supported database",
		`environment variable PARLEY_LOG_LEVEL: "loud" is not known (use debug, info, warn or error)`,
		"environment variable PARLEY_DATABSE_URL: unknown setting (did you mean PARLEY_DATABASE_URL?)",
		"environment variable PARLEY_BROKER_WINDOW: \"tcp://10.0.0.1:80\" is not a whole number (Kubernetes",
		"flag --consumer-prefetch: must be 1 to 65535",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(err.Error(), "PARLEY_RELAY_SERVICE_HOST") {
		t.Error("a variable that Kubernetes sets for a service is reported")
	}
	if t.Failed() {
		t.Logf("%d mistakes:\n%v", len(mistakes.Mistakes), err)
	}
}

func TestNoSecretIsShownAnywhere(t *testing.T) {
	const canary = "cAnArY-93"
	dir := t.TempDir()
	inFile := filepath.Join(dir, "s")
	if err := os.WriteFile(inFile, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"urls":        "broker: {url: 'amqp://u:" + canary + "@example.com/'}\ndatabase: {url: 'postgres://u:" + canary + "@h/d?sslpassword=" + canary + "'}",
		"cluster":     "broker: {urls: ['amqp://u:" + canary + "@a.example.com/', 'amqp://u:" + canary + "@b.example.com/'], management_url: 'http://u:" + canary + "@h:1'}",
		"bad cluster": "broker: {urls: ['amqp://u:" + canary + "@a/', 'amqp://u:" + canary + "@b,c/', 5], management_url: 'u:" + canary + "@h:1'}",
		"list":        "broker: {urls: '[\"amqp://u:" + canary + "'}",
		"parameters":  "broker: {host: example.com, password: " + canary + "}\ndatabase: {url: 'postgres://u@h/d', password: " + canary + "}",
		"like a URL":  "broker: {host: example.com, password: 'http://" + canary + "'}\nrest: {username: u, password: 'sqlite:" + canary + "', auth_url: l}",
		"files":       "broker: {url: 'amqp://example.com/', password_file: " + inFile + "}\nrest: {username: u, password_file: " + inFile + ", auth_url: l}",
		"rest":        "rest: {credential: {login: " + canary + ", pin: {a: " + canary + "}}, auth_url: l}",
		"bad broker":  "broker: {url: 'amqp://u:" + canary + "#x@h/'}",
		"torn broker": "broker: {url: 'amqp://u:12/" + canary + "@h'}",
		"bad url":     "database: {url: 'postgres://u:%zz" + canary + "@h/d'}",
		"both":        "broker: {password: " + canary + ", password_file: " + inFile + "}",
		"bad file":    "broker: {url_file: " + inFile + "}\ndatabase: {url_file: " + inFile + "}\nrest: {credential_file: " + inFile + "}",
		"wrong kind":  "broker: {password: [" + canary + "]}\nrest: {credential: " + canary + ", password: {a: " + canary + "}}",
		"not YAML":    canary,
		"torn YAML":   "broker: {password: \"" + canary,
		"tab":         "broker:\n\tpassword: " + canary,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Load(&LoadOptions{File: writeFile(t, "s.yaml", doc), Environ: []string{}})
			var out bytes.Buffer
			fmt.Fprint(&out, err)
			if err == nil {
				log := slog.New(slog.NewTextHandler(&out, nil))
				log.Info("settings", "broker", s.Broker, "password", s.Broker.Password, "credential", s.REST.Credential, "all", *s)
				fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d", s, s, s, s.Broker.Password, s.Broker.Password, s.Broker.Password, s.Broker.Password)
				text, err := json.Marshal(s)
				out.Write(text)
				fmt.Fprint(&out, err, s.Warnings())
				if err := Write(&out, s.Show()); err != nil {
					t.Error(err)
				}
			}
			if strings.Contains(out.String(), canary) {
				t.Errorf("the secret is shown:\n%s", &out)
			}
		})
	}
}

func TestTheSchemaDescribesEverySetting(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields() {
		at := root
		for name := range strings.SplitSeq(f.key, ".") {
			properties, _ := at["properties"].(map[string]any)
			at, _ = properties[name].(map[string]any)
		}
		if at["description"] == nil {
			t.Errorf("the schema lacks %s", f.key)
		}
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
