package parley

import "github.com/parley-go/parley/internal/jsonkeys"

// HeaderDataKeys holds the publisher's spelling of those keys of the payload that are data and not struct fields. These are
// the keys of maps, of values behind interfaces, of json.RawMessage and of types that encode their own JSON. Its value is
// "verbatim" if the keys on the wire are the publisher's, else a JSON object: the name on the wire, and the publisher's.
// Messages that need no such note, and all messages of the Python library, do not have it.
const HeaderDataKeys = "parley-keys"

// KeyRules are exceptions from the renaming of keys: camelCase on the wire, snake_case for untyped values that are
// read. They are the options of the Python setting JSON_CAMEL_CASE["JSON_UNDERSCOREIZE"]; services that
// share messages use the same. The zero value means no exceptions.
//
// They apply to what is published, and to what is read from other libraries. A message of parley is read as
// its publisher wrote it, see [HeaderDataKeys].
type KeyRules struct {
	// IgnoreKeys are keys that are not renamed; keys below them are. Each may be in either case.
	IgnoreKeys []string
	// IgnoreFields are keys below which no key is renamed; they themselves are. Each may be in either case.
	IgnoreFields []string
	// NoUnderscoreBeforeNumber makes "item1" stay "item1" when it is read, instead of "item_1".
	NoUnderscoreBeforeNumber bool
}

// options returns r for the encoder; nil if r is nil.
func (r *KeyRules) options() *jsonkeys.Options { return (*jsonkeys.Options)(r) }

// WithKeyRules sets the exceptions from the renaming of keys in one message. For [Publish], [PublishAll], [SendTx] and [Ask]
// the default is OutboxConfig.KeyRules, for [Await] CallerConfig.KeyRules. For [Send] and the Record methods it is none.
func WithKeyRules(r KeyRules) MessageOption {
	return messageOption(func(o *messageOptions) { o.keyRules = &r })
}

// useKeyRules sets the rules unless an option has set others.
func (o *messageOptions) useKeyRules(r *KeyRules) {
	if o.keyRules == nil {
		o.keyRules = r
	}
}
