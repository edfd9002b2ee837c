package settings

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// renamedSettings maps old names of settings to new ones. Load does not accept the old names: its error gives the new one.
var renamedSettings = map[string]string{
	"consumer.grace":         "consumer.shutdown_timeout",
	"consumer.lanes":         "consumer.concurrency",
	"consumer.quick_retries": "consumer.immediate_retries",
	"consumer.secret":        "consumer.secrets",
	"consumer.secret_file":   "consumer.secrets_file",
	"relay.grace":            "relay.shutdown_timeout",
}

// renamed reports whether key is an old name. If so, it records a mistake that gives the new one.
func (l *loader) renamed(key, hint string) bool {
	now, ok := renamedSettings[key]
	if ok {
		l.mistake("", "", wrong(fmt.Sprintf("%q is now %q", key, now), hint))
	}
	return ok
}

// oldVariable returns the old setting that an environment variable sets and a hint with the new variable, or "".
func oldVariable(name string) (key, hint string) {
	for old, now := range renamedSettings {
		if (&field{key: old}).env() == name {
			return old, "set the environment variable " + fieldByKey(now).env() + " instead"
		}
	}
	return "", ""
}

// oldFlag returns key and a hint with the new flag if key is an old setting.
func oldFlag(key string) (old, hint string) {
	now, ok := renamedSettings[key]
	if !ok {
		return "", ""
	}
	name := fieldByKey(now).flag()
	if name == "" {
		return key, "secrets have no flag"
	}
	return key, "use the flag --" + name
}

// addRenamed adds hidden flags for the old settings, so that Load can name the new ones. Secrets have no flags.
func addRenamed(fs *pflag.FlagSet) {
	for old, now := range renamedSettings {
		name := strings.NewReplacer(".", "-", "_", "-").Replace(old)
		if fieldByKey(now).flag() == "" || fs.Lookup(name) != nil {
			continue
		}
		fs.Var(&settingFlag{}, name, "is now --"+fieldByKey(now).flag())
		flag := fs.Lookup(name)
		flag.Hidden = true
		flag.Annotations = map[string][]string{settingAnnotation: {old}}
	}
}
