package settings

import (
	"reflect"
	"strings"
	"sync"
	"time"
)

// A field describes one setting, from its struct field and tags.
type field struct {
	key       string   // broker.virtual_host
	index     []int    // of the struct field, from Settings
	kind      kind     //
	doc       string   //
	def       string   // the default as text, or ""
	enum      []string // allowed texts, or nil
	min       string   // bounds of ints and durations, or ""
	max       string   //
	twin      string   // of a *_file setting: the key of the setting that the file contains
	isMain    bool     // its flag appears in the help
	inner     bool     // it belongs to an item of a group, such as queues: it has no variable and no flag
	isOff     bool     // an explicit zero turns a feature off instead of meaning the default
	inSeconds bool     // a list of durations in whole seconds
}

type kind int

const (
	kindText kind = iota
	kindSecret
	kindURL
	kindBool
	kindInt
	kindDuration
	kindDurations
	kindExchanges
	kindBinds
	kindCredential
	kindSecrets
	kindURLs
	kindFloat
	kindQueues
	kindArguments
	kindLevels
)

var kindNames = [...]string{"text", "text", "a URL", "true or false", "a whole number", "a duration such as 5s or 1m30s", "a list of durations such as [5s, 1m30s]", "a list of exchanges", "a list of bindings", "a group of names and values", "a list of texts", "a list of URLs", "a number", "a group of queues", "a group of names and values", "a group of names and levels"}

func (k kind) String() string { return kindNames[k] }

// inQuotes reports whether a value begins and ends with the same quote.
func inQuotes(value string) bool {
	return len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0]
}

var errInQuotes = wrong("the value is in quotes", "remove the quotes: an env file, systemd or docker may pass them on")

// env returns the name of the environment variable.
func (f *field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// flag returns the name of the flag. It returns "" for secrets: every user of the machine can see the arguments of a process.
func (f *field) flag() string {
	if f.kind == kindCredential || f.kind == kindSecret || f.kind == kindSecrets {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(f.key)
}

// value returns the field of s, a pointer to Settings or to a part of it that has fields of its own, such as Queue.
func (f *field) value(s any) reflect.Value {
	return reflect.ValueOf(s).Elem().FieldByIndex(f.index)
}

// fields lists all settings in the order of the struct.
var fields = sync.OnceValue(func() []field { return fieldsOf(reflect.TypeFor[Settings](), "", nil) })

// fieldByKey returns the field called key, or nil.
func fieldByKey(key string) *field {
	for i := range fields() {
		if fields()[i].key == key {
			return &fields()[i]
		}
	}
	return nil
}

func fieldsOf(t reflect.Type, prefix string, index []int) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, ok := sf.Tag.Lookup("key")
		if !ok {
			continue
		}
		at := append(append([]int(nil), index...), i)
		if sf.Type.Kind() == reflect.Struct {
			out = append(out, fieldsOf(sf.Type, prefix+name+".", at)...)
			continue
		}
		f := field{
			key: prefix + name, index: at, kind: kindOf(sf.Type), doc: sf.Tag.Get("doc"), def: sf.Tag.Get("default"),
			min: sf.Tag.Get("min"), max: sf.Tag.Get("max"), twin: sf.Tag.Get("twin"),
			isMain: sf.Tag.Get("flag") == "main", isOff: sf.Tag.Get("zero") == "off", inSeconds: sf.Tag.Get("unit") == "1s",
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		out = append(out, f)
	}
	return out
}

func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[Secret]():
		return kindSecret
	case reflect.TypeFor[[]Secret]():
		return kindSecrets
	case reflect.TypeFor[URL](), reflect.TypeFor[Path]():
		return kindURL
	case reflect.TypeFor[bool]():
		return kindBool
	case reflect.TypeFor[int]():
		return kindInt
	case reflect.TypeFor[time.Duration]():
		return kindDuration
	case reflect.TypeFor[[]time.Duration]():
		return kindDurations
	case reflect.TypeFor[[]Exchange]():
		return kindExchanges
	case reflect.TypeFor[[]Bind]():
		return kindBinds
	case reflect.TypeFor[Credential]():
		return kindCredential
	case reflect.TypeFor[[]URL]():
		return kindURLs
	case reflect.TypeFor[float64]():
		return kindFloat
	case reflect.TypeFor[[]Queue]():
		return kindQueues
	case reflect.TypeFor[Arguments]():
		return kindArguments
	case reflect.TypeFor[map[string]string]():
		return kindLevels
	}
	return kindText
}
