package settings

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestASettingsFileIsFoundWhenNoneIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "parley.json", `{"app_id": "from JSON", "binds": ["a", ["b", "c.*"]], "queue": "q"}`)
	s, err := Load(&LoadOptions{Environ: []string{}})
	if err != nil || s.AppID != "from JSON" || len(s.Binds) != 2 || s.Binds[1].RoutingKey != "c.*" {
		t.Errorf("settings %+v, %v: not those of parley.json", s, err)
	}
	write(t, "parley.yaml", "app_id: from YAML\n")
	if s, err = Load(&LoadOptions{Environ: []string{}}); err != nil || s.AppID != "from YAML" {
		t.Errorf("settings %+v, %v: parley.yaml must override parley.json", s, err)
	}
	write(t, "other.yaml", "app_id: named\n")
	if s, err = Load(&LoadOptions{Environ: []string{"PARLEY_SETTINGS=other.yaml"}}); err != nil || s.AppID != "named" {
		t.Errorf("settings %+v, %v: not those of PARLEY_SETTINGS", s, err)
	}
	if _, err = Load(&LoadOptions{Environ: []string{"PARLEY_SETTINGS=missing.yaml"}}); err == nil {
		t.Error("a missing settings file that is named is no mistake")
	}
}

func TestAnEmptySettingsFileIsFine(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "broker:\nqueue:\n", "{}", "rest: {}\n"} {
		if _, err := Load(&LoadOptions{File: writeFile(t, "s.yaml", text), Environ: []string{}}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzASettingsFileNeverPanicsNorShowsASecret(f *testing.F) {
	const canary = "cAnArY93"
	f.Add("broker: {url: 'amqp://u:" + canary + "@h/'}")
	f.Add("exchanges: [a, [b, fanout], {name: c}]\nbinds: 5\nqueue: {a: b}")
	f.Add(`{"broker": {"password": "` + canary + `"}, "rest": {"credential": {"a": ["` + canary + `"]}}}`)
	f.Add("broker:\n  password: |\n    " + canary + "\n  host: *x")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "s.yaml")
		write(t, file, text)
		s, err := Load(&LoadOptions{File: file, Environ: []string{"PARLEY_BROKER_PASSWORD=" + canary}})
		if err != nil {
			return
		}
		if s.Broker.Password != canary {
			t.Errorf("the environment's password was not taken")
		}
		for _, shown := range s.Show() {
			if strings.Contains(shown.Key, "password") && strings.Contains(shown.text(), canary) {
				t.Errorf("%s is shown", shown.Key)
			}
		}
	})
}
