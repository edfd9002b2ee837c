package service

import (
	"github.com/spf13/pflag"
)

const settingAnnotation = "parley-setting"

// AddFlags adds --settings and a flag for every setting but the passwords: other users of
// the machine can see the arguments of a process. Rare ones are not shown in the help.
func AddFlags(fs *pflag.FlagSet) {
	fs.String(fileFlag, "", "settings file, YAML or JSON (default: parley.yaml, if there is one)")
	for i := range fields() {
		f := &fields()[i]
		name := f.flag()
		if name == "" || fs.Lookup(name) != nil {
			continue
		}
		addSetting(fs, name, f.key, f.doc)
		fs.Lookup(name).Hidden = !f.isMain
	}
}

// addSetting adds a flag that sets key, perhaps under a shorter name.
func addSetting(fs *pflag.FlagSet, name, key, doc string) {
	f := fieldByKey(key)
	if f.def != "" {
		doc += " (default " + f.def + ")"
	}
	fs.Var(&settingFlag{}, name, doc)
	flag := fs.Lookup(name)
	flag.Annotations = map[string][]string{settingAnnotation: {key}}
	if f.kind == kindBool {
		flag.NoOptDefVal = "true"
	}
}

// settingOf returns the setting that a flag stands for, or "".
func settingOf(f *pflag.Flag) string {
	if key := f.Annotations[settingAnnotation]; len(key) == 1 {
		return key[0]
	}
	return ""
}

// A settingFlag takes any text: Load checks it, with all other mistakes.
type settingFlag struct{ text string }

func (f *settingFlag) String() string     { return f.text }
func (f *settingFlag) Set(s string) error { f.text = s; return nil }
func (f *settingFlag) Type() string       { return "value" }
