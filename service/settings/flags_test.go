package settings

import (
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestAListFlagMayBeGivenSeveralTimes(t *testing.T) {
	for _, args := range [][]string{
		{"--exchange", "audit:fanout", "--exchange=user"}, {"--exchange=audit:fanout,user"},
	} {
		fs := pflag.NewFlagSet("relay", pflag.ContinueOnError)
		AddFlags(fs)
		AddListFlag(fs, "exchange", "exchanges", "an exchange")
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		s, err := Load(&LoadOptions{Flags: fs, Environ: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		if want := []Exchange{{Name: "audit", Type: "fanout"}, {Name: "user"}}; !reflect.DeepEqual(s.Exchanges, want) {
			t.Errorf("%q: exchanges %+v, want %+v", args, s.Exchanges, want)
		}
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
