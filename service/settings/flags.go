package settings

import "github.com/spf13/pflag"

const settingAnnotation = "parley-setting"

// AddFlags adds --settings and a flag for every setting. Passwords and other secrets have no flag, because other users of the
// machine can see the arguments of a process. Flags of rarely used settings are hidden in the help.
func AddFlags(fs *pflag.FlagSet) {
	fs.String(fileFlag, "", "settings file, YAML or JSON (default: parley.yaml, if there is one)")
	for i := range fields() {
		f := &fields()[i]
		name := f.flag()
		if name == "" || fs.Lookup(name) != nil {
			continue
		}
		AddFlag(fs, name, f.key, f.doc)
		fs.Lookup(name).Hidden = !f.isMain
	}
	addRenamed(fs)
}

// AddFlag adds a flag called name that sets key.
func AddFlag(fs *pflag.FlagSet, name, key, doc string) {
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

// settingOf returns the setting that a flag sets, or "".
func settingOf(f *pflag.Flag) string {
	if key := f.Annotations[settingAnnotation]; len(key) == 1 {
		return key[0]
	}
	return ""
}

// A settingFlag accepts any text. Load checks it and reports it together with all other mistakes.
type settingFlag struct{ text string }

func (f *settingFlag) String() string     { return f.text }
func (f *settingFlag) Set(s string) error { f.text = s; return nil }
func (f *settingFlag) Type() string       { return "value" }

// FlagValues returns the values that the flags of settings with a fixed list of values allow, by flag, for completion in a shell.
func FlagValues() map[string][]string {
	out := map[string][]string{}
	for i := range fields() {
		f := &fields()[i]
		switch name := f.flag(); {
		case name == "":
		case len(f.enum) > 0:
			out[name] = f.enum
		case f.kind == kindBool:
			out[name] = []string{"true", "false"}
		}
	}
	return out
}
