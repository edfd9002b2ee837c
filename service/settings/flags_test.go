package settings

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

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

func TestFlagsWithAFixedListOfValuesAreCompleted(t *testing.T) {
	values := FlagValues()
	for flag, want := range map[string]string{"relay-mode": "parallel", "topology": "verify", "database-migrate": "true"} {
		if !slices.Contains(values[flag], want) {
			t.Errorf("--%s is completed by %q, want %s among them", flag, values[flag], want)
		}
	}
	if _, ok := values["broker-password"]; ok {
		t.Error("a secret has a flag")
	}
}
