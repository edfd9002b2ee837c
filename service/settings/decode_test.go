package settings

import (
	"strings"
	"testing"
)

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

func TestAZeroInTheFileTurnsASettingOff(t *testing.T) {
	for _, f := range fields() {
		if !f.isOff {
			continue
		}
		t.Run(f.key, func(t *testing.T) {
			s, err := Load(&LoadOptions{File: writeFile(t, "s.yaml", nest(strings.Split(f.key, "."), "0")), Environ: environ(needed[f.key])})
			if err != nil {
				t.Fatal(err)
			}
			if !f.value(s).IsZero() {
				t.Errorf("%s is %v, want 0", f.key, f.value(s))
			}
		})
	}
}
