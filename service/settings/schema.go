package settings

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (draft 2020-12) of the settings file, for editors.
func Schema() ([]byte, error) {
	root := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "parley settings", "type": "object", "additionalProperties": false, "properties": object{},
	}
	for i := range fields() {
		f := &fields()[i]
		at, names := root, strings.Split(f.key, ".")
		for _, group := range names[:len(names)-1] {
			properties := at["properties"].(object)
			if properties[group] == nil {
				properties[group] = object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": object{}}
			}
			at = properties[group].(object)
		}
		at["properties"].(object)[names[len(names)-1]] = f.schema()
	}
	return json.MarshalIndent(root, "", "  ")
}

type object = map[string]any

// durationPattern matches the texts of time.ParseDuration that settings need.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`

func (f *field) schema() object {
	o := object{"description": f.doc}
	if !f.inner {
		o["description"] = f.doc + "; environment: " + f.env()
	}
	switch f.kind {
	case kindBool:
		o["type"] = "boolean"
	case kindInt:
		o["type"] = "integer"
		if f.min != "" {
			o["minimum"] = f.limit(f.min)
		}
		if f.max != "" {
			o["maximum"] = f.limit(f.max)
		}
	case kindDuration:
		o["type"], o["pattern"] = "string", durationPattern
		if f.isOff {
			o["type"], o["maximum"], o["minimum"] = []string{"string", "integer"}, 0, 0 // the number 0 has no unit and turns it off
		}
	case kindDurations:
		o["anyOf"] = []any{object{"const": "none"}, object{"type": "array", "items": object{"type": "string", "pattern": durationPattern}}}
	case kindSecrets:
		o["type"], o["items"] = "array", object{"type": "string", "minLength": 16}
	case kindExchanges:
		o["type"], o["items"] = "array", exchangeSchema()
	case kindBinds:
		o["anyOf"] = []any{object{"const": "auto"}, object{"type": "array", "items": pairSchema("exchange", "routing_key")}}
	case kindURLs:
		o["type"], o["items"] = "array", object{"type": "string"}
	case kindFloat:
		o["type"], o["minimum"], o["maximum"] = "number", 0, 1
	case kindQueues:
		o["type"], o["additionalProperties"] = "object", queueSchema()
	case kindLevels:
		o["type"], o["additionalProperties"] = "object", object{"enum": levels}
	case kindCredential, kindArguments:
		o["type"] = "object"
	default:
		o["type"] = "string"
		if f.enum != nil {
			o["enum"] = f.enum
		}
	}
	f.schemaDefault(o)
	return o
}

func (f *field) schemaDefault(o object) {
	if f.def == "" {
		return
	}
	o["default"] = f.def
	if f.kind == kindDurations {
		o["default"] = strings.Split(f.def, ",")
	}
	if n, err := strconv.ParseFloat(f.def, 64); err == nil && (f.kind == kindInt || f.kind == kindFloat) {
		o["default"] = n
	}
}

// pairSchema describes a name, [name, second] or {first: name, second: …}.
func pairSchema(first, second string) object {
	name, other := object{"type": "string", "minLength": 1, "maxLength": 255}, object{"type": "string", "maxLength": 255}
	return object{"anyOf": []any{
		name,
		object{"type": "object", "additionalProperties": false, "required": []string{first}, "properties": object{first: name, second: other}},
		object{"type": "array", "prefixItems": []any{name, other}, "minItems": 1, "maxItems": 2},
	}}
}

func exchangeSchema() object {
	o := pairSchema("name", "type")
	o["anyOf"].([]any)[1].(object)["properties"].(object)["arguments"] = object{"type": "object"}
	return o
}
