package service

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A ShownSetting is a setting as it may be shown: secrets are hidden.
type ShownSetting struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	// Source says where the value came from: "default", or as in Mistake.
	Source string `json:"source"`
}

// Show lists the settings that have a value, in the order of the struct.
func (s *Settings) Show() []ShownSetting {
	var out []ShownSetting
	for i := range fields() {
		f := &fields()[i]
		v := f.value(s)
		if v.IsZero() {
			continue
		}
		shown := ShownSetting{Key: f.key, Value: f.shown(s), Source: s.sources[f.key].text}
		if shown.Source == "" {
			shown.Source = "default"
			if shown.text() != f.def {
				shown.Source = "program"
			}
		}
		out = append(out, shown)
	}
	return out
}

// text returns the value as a flag would have it.
func (s *ShownSetting) text() string {
	if list, ok := s.Value.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(s.Value)
}

// shown returns the value in the form that a file would have it, without secrets.
func (f *field) shown(s *Settings) any {
	v := f.value(s)
	switch f.kind {
	case kindSecret:
		return hidden
	case kindURL:
		return URL(v.Convert(reflect.TypeFor[string]()).String()).String()
	case kindDuration:
		return shortDuration(time.Duration(v.Int()))
	case kindCredential:
		return s.REST.Credential.shown()
	case kindDurations:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = shortDuration(time.Duration(v.Index(i).Int()))
		}
		return out
	case kindExchanges:
		out := make([]string, len(s.Exchanges))
		for i, e := range s.Exchanges {
			out[i] = e.Name + ":" + or(e.Type, "topic")
		}
		return out
	case kindBinds:
		out := make([]string, len(s.Binds))
		for i, b := range s.Binds {
			out[i] = b.Exchange + ":" + or(b.RoutingKey, "#")
		}
		return out
	}
	return v.Interface()
}

// shortDuration writes 1m0s as 1m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// WriteSettings writes a table of the settings, their values and sources.
func WriteSettings(w io.Writer, shown []ShownSetting) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range shown {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.Key, printable(s.text()), printable(s.Source))
	}
	return tw.Flush()
}

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

// durationPattern is what time.ParseDuration takes, as far as settings need it.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`

func (f *field) schema() object {
	o := object{"description": f.doc + "; environment: " + f.env()}
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
	case kindDurations:
		o["type"], o["items"] = "array", object{"type": "string", "pattern": durationPattern}
	case kindExchanges:
		o["type"], o["items"] = "array", pairSchema("name", "type")
	case kindBinds:
		o["type"], o["items"] = "array", pairSchema("exchange", "routing_key")
	case kindCredential:
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
	if n, err := strconv.Atoi(f.def); err == nil && f.kind == kindInt {
		o["default"] = n
	}
}

func pairSchema(first, second string) object {
	text := object{"type": "string", "minLength": 1, "maxLength": 255}
	return object{"anyOf": []any{text, object{
		"type": "object", "additionalProperties": false, "required": []string{first},
		"properties": object{first: text, second: object{"type": "string", "maxLength": 255}},
	}}}
}
