package settings

import (
	"strings"

	"github.com/parley-go/parley"
)

// Keys are exceptions from the renaming of keys in messages, for services that share messages with a Django project that has set
// JSON_CAMEL_CASE; see parley.KeyRules.
type Keys struct {
	IgnoreKeys               string `key:"ignore_keys" doc:"keys of messages that are not renamed, separated by commas, as ignore_keys of a Django project's JSON_CAMEL_CASE"`
	IgnoreFields             string `key:"ignore_fields" doc:"keys of messages below which no key is renamed, separated by commas, as ignore_fields there"`
	NoUnderscoreBeforeNumber bool   `key:"no_underscore_before_number" doc:"read the key item1 as item1 instead of item_1, as no_underscore_before_number there"`
}

// Rules returns the exceptions, nil if there are none.
func (k Keys) Rules() *parley.KeyRules {
	r := &parley.KeyRules{IgnoreKeys: names(k.IgnoreKeys), IgnoreFields: names(k.IgnoreFields), NoUnderscoreBeforeNumber: k.NoUnderscoreBeforeNumber}
	if len(r.IgnoreKeys)+len(r.IgnoreFields) == 0 && !r.NoUnderscoreBeforeNumber {
		return nil
	}
	return r
}

// names splits a list separated by commas.
func names(text string) []string {
	var out []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}
