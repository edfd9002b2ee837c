package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	envPrefix    = "PARLEY_"
	fileVariable = "PARLEY_SETTINGS"
	fileFlag     = "settings"
	// keySeparator separates the names of a path inside koanf. No name contains it, so the name "broker.url" on one line differs
	// from url within broker.
	keySeparator = "\x1f"
)

// FileNames are the settings files that Load tries when no file is named.
var FileNames = []string{"parley.yaml", "parley.yml", "parley.json"}

// LoadOptions are the sources of settings.
type LoadOptions struct {
	// File is the settings file, YAML or JSON. Default: the flag --settings, the variable
	// PARLEY_SETTINGS, or the first of FileNames that exists. A file is optional.
	File string
	// Environ is the environment, as NAME=value. Default: os.Environ().
	Environ []string
	// Flags are parsed flags, including those of AddFlags. Default: none.
	Flags *pflag.FlagSet
}

// source is the source of a value. A higher rank overrides a lower one.
type source struct {
	rank int
	text string
}

// Load reads the settings. Flags override the environment, and the environment overrides the file. Secrets may be in separate
// files. Load reports all mistakes at once, as *Error; unknown names are mistakes. No error contains a secret.
func Load(o *LoadOptions) (*Settings, error) {
	l := &loader{s: &Settings{sources: map[string]source{}}}
	if o != nil {
		l.o = *o
	}
	if l.o.Environ == nil {
		l.o.Environ = os.Environ()
	}
	l.file()
	l.environment()
	l.flags()
	l.mistakes = append(l.mistakes, l.s.complete(l.failed)...)
	if len(l.mistakes) > 0 {
		return nil, &Error{l.mistakes}
	}
	return l.s, nil
}

type loader struct {
	o        LoadOptions
	s        *Settings
	mistakes []Mistake
	failed   map[string]bool // settings with a mistake already
}

func (l *loader) mistake(key, from string, err error) {
	m := Mistake{Key: key, Source: from, Problem: err.Error()}
	var good *hintedError
	if errors.As(err, &good) {
		m.Problem, m.Hint = good.problem, good.hint
	}
	l.mistakes = append(l.mistakes, m)
	if l.failed == nil {
		l.failed = map[string]bool{}
	}
	l.failed[key] = true
}

// take sets every field that the layer contains.
func (l *loader) take(k *koanf.Koanf, rank int, where func(f *field) string) {
	for i := range fields() {
		f := &fields()[i]
		value := k.Get(strings.ReplaceAll(f.key, ".", keySeparator))
		if value == nil {
			continue
		}
		from := where(f)
		if err := f.decode(l.s, value); err != nil {
			l.mistake(f.key, from, err)
		}
		l.s.sources[f.key] = source{rank, from}
	}
}

func (l *loader) file() {
	name, named := l.fileName()
	if name == "" {
		return
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return
	}
	if err != nil {
		l.mistake(fileFlag, "", fmt.Errorf("read the file: %w", err))
		return
	}
	if secondDocument(text) {
		l.mistake(fileFlag, name, wrong("has a second YAML document", "settings are one document: remove the line --- and merge what follows it"))
		return
	}
	values, err := yaml.Parser().Unmarshal(text) // JSON is YAML
	if err != nil {
		l.mistake(fileFlag, name, errors.New(withoutValues(err)))
		return
	}
	k := koanf.New(keySeparator)
	if err := k.Load(confmap.Provider(values, keySeparator), nil); err != nil {
		l.mistake(fileFlag, name, errors.New(withoutValues(err)))
		return
	}
	short := filepath.Base(name)
	where := func(f *field) string { return short + ": " + f.key }
	l.take(k, 1, where)
	l.s.sortQueues(orderOf(text, "queues"))
	for _, path := range k.Keys() {
		key := strings.ReplaceAll(path, keySeparator, ".")
		if l.renamed(key, "rename it in "+short) {
			continue
		}
		if !known(path, k.Get(path)) {
			hint := didYouMean(key, keys())
			if group, name, ok := strings.Cut(key, "."); ok && fieldByKey(key) != nil {
				hint = "write " + name + ": below " + group + ":"
			}
			l.mistake(key, short+": "+key, wrong("unknown setting", hint))
		}
	}
}

// fileName returns the settings file, and whether an option, a flag or a variable named it.
func (l *loader) fileName() (name string, named bool) {
	if l.o.File != "" {
		return l.o.File, true
	}
	if l.o.Flags != nil {
		if f := l.o.Flags.Lookup(fileFlag); f != nil && f.Changed {
			return f.Value.String(), true
		}
	}
	for _, pair := range l.o.Environ {
		if value, ok := strings.CutPrefix(pair, fileVariable+"="); ok && value != "" {
			return value, true
		}
	}
	for _, name := range FileNames {
		if _, err := os.Stat(name); err == nil {
			return name, false
		}
	}
	return "", false
}

var quoted = regexp.MustCompile("(?s)`.*`|\".*\"")

// withoutValues removes quoted parts of the file from a parser's error, because they may be passwords.
func withoutValues(err error) string {
	text := quoted.ReplaceAllString(err.Error(), "…")
	return "cannot be read as YAML: " + strings.TrimPrefix(text, "yaml: ")
}

// known reports whether a path of the file is a setting or lies within one.
func known(path string, value any) bool {
	key := strings.ReplaceAll(path, keySeparator, ".")
	if strings.Count(path, keySeparator) != strings.Count(key, ".") && fieldByKey(key) != nil {
		return false // broker.url on one line
	}
	empty := value == nil
	if m, ok := value.(map[string]any); ok && len(m) == 0 {
		empty = true
	}
	for i := range fields() {
		f := &fields()[i]
		if key == f.key || strings.HasPrefix(key, f.key+".") || empty && strings.HasPrefix(f.key, key+".") {
			return true // the decoder of the setting reports mistakes below it
		}
	}
	return false
}

func keys() []string {
	out := make([]string, len(fields()))
	for i, f := range fields() {
		out[i] = f.key
	}
	return out
}

// serviceLink matches the variables that Kubernetes sets for each of its services, with their values: PARLEY_HTTP_PORT=9090 is none.
var serviceLink = regexp.MustCompile(`_(SERVICE_(HOST|PORT(_\w+)?)=|PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=)`)

func (l *loader) environment() {
	byName := map[string]*field{}
	var names []string
	for i := range fields() {
		f := &fields()[i]
		byName[f.env()] = f
		names = append(names, f.env())
	}
	transform := func(name, value string) (string, any) {
		f := byName[name]
		value = strings.TrimSpace(value) // as in a file: a secret store or "echo" adds a line break
		switch {
		case f != nil && inQuotes(value):
			l.mistake(f.key, "environment variable "+name, errInQuotes)
		case f != nil && (value != "" || f.kind == kindDurations): // an empty list of delays means none
			return strings.ReplaceAll(f.key, ".", keySeparator), value
		case l.renamed(oldVariable(name)):
		case f != nil, name == fileVariable, strings.HasPrefix(name, envPrefix+"TEST_"), serviceLink.MatchString(name + "=" + value):
		default:
			l.mistake(name, "environment variable "+name, wrong("unknown setting", didYouMean(name, names)))
		}
		return "", nil
	}
	k := koanf.New(keySeparator)
	provider := env.Provider(keySeparator, env.Opt{Prefix: envPrefix, TransformFunc: transform, EnvironFunc: func() []string { return l.o.Environ }})
	if err := k.Load(provider, nil); err != nil {
		l.mistake("", "environment", err)
	}
	l.take(k, 2, func(f *field) string { return "environment variable " + f.env() })
}

func (l *loader) flags() {
	if l.o.Flags == nil {
		return
	}
	flagNames := map[string]string{}
	provider := posflag.ProviderWithFlag(l.o.Flags, keySeparator, nil, func(f *pflag.Flag) (string, any) {
		key := settingOf(f)
		if key == "" || !f.Changed || l.renamed(oldFlag(key)) {
			return "", nil
		}
		flagNames[key] = f.Name
		return strings.ReplaceAll(key, ".", keySeparator), f.Value.String()
	})
	k := koanf.New(keySeparator)
	if err := k.Load(provider, nil); err != nil {
		l.mistake("", "flags", err)
	}
	l.take(k, 3, func(f *field) string { return "flag --" + flagNames[f.key] })
}
