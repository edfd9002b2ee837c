package settings

import "github.com/spf13/pflag"

// AddListFlag is AddFlag for a setting that is a list: the flag may be given several times, or once with items separated by commas.
func AddListFlag(fs *pflag.FlagSet, name, key, doc string) {
	AddFlag(fs, name, key, doc)
	fs.Lookup(name).Value = &listFlag{}
}

// A listFlag joins the texts that it is given by commas. Load checks them.
type listFlag struct{ text string }

func (f *listFlag) String() string { return f.text }
func (f *listFlag) Type() string   { return "value" }

func (f *listFlag) Set(s string) error {
	if f.text != "" {
		s = f.text + "," + s
	}
	f.text = s
	return nil
}
