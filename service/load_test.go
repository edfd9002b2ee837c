package service

import (
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
		t.Errorf("settings %+v, %v: parley.yaml goes before parley.json", s, err)
	}
	write(t, "other.yaml", "app_id: named\n")
	if s, err = Load(&LoadOptions{Environ: []string{"PARLEY_SETTINGS=other.yaml"}}); err != nil || s.AppID != "named" {
		t.Errorf("settings %+v, %v: not those of PARLEY_SETTINGS", s, err)
	}
	if _, err = Load(&LoadOptions{Environ: []string{"PARLEY_SETTINGS=missing.yaml"}}); err == nil {
		t.Error("a settings file that is named but missing is no mistake")
	}
}

func TestAnEmptySettingsFileIsFine(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "broker:\nqueue:\n", "{}", "rest: {}\n"} {
		if _, err := Load(&LoadOptions{File: writeFile(t, "s.yaml", text), Environ: []string{}}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
