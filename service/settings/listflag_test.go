package settings

import (
	"reflect"
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
