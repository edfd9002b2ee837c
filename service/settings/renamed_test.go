package settings

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestAnOldSettingIsAnErrorThatNamesTheNewOne(t *testing.T) {
	for old, now := range renamedSettings {
		if fieldByKey(old) != nil || fieldByKey(now) == nil {
			t.Errorf("%s is now %s: the old one must not be a setting, and the new one must be", old, now)
			continue
		}
		want := fmt.Sprintf("settings: %q is now %q (", old, now)
		check := func(t *testing.T, err error, hint string) {
			t.Helper()
			if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), hint) {
				t.Errorf("error is %v, want one with %s and %s", err, want, hint)
			}
		}
		t.Run(old+" in the file", func(t *testing.T) {
			_, err := load(t, nest(strings.Split(old, "."), "5s"))
			check(t, err, "rename it in s.yaml)")
		})
		t.Run(old+" on one line of the file", func(t *testing.T) {
			_, err := load(t, old+": 5s")
			check(t, err, "rename it in s.yaml)")
		})
		t.Run(old+" in the environment", func(t *testing.T) {
			_, err := load(t, "", (&field{key: old}).env()+"=5s")
			check(t, err, "set the environment variable "+fieldByKey(now).env()+" instead)")
		})
		t.Run(old+" as a flag", func(t *testing.T) {
			fs := pflag.NewFlagSet("", pflag.ContinueOnError)
			AddFlags(fs)
			name := strings.NewReplacer(".", "-", "_", "-").Replace(old)
			if fieldByKey(now).flag() == "" {
				if fs.Lookup(name) != nil {
					t.Errorf("--%s would show a secret to every user of the machine", name)
				}
				return
			}
			if err := fs.Parse([]string{"--" + name + "=5s"}); err != nil {
				t.Fatal(err)
			}
			_, err := Load(&LoadOptions{Environ: []string{}, Flags: fs})
			check(t, err, "use the flag --"+fieldByKey(now).flag()+")")
			if !fs.Lookup(name).Hidden {
				t.Errorf("--%s is shown in the help", name)
			}
		})
	}
}
