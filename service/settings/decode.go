package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A hintedError is a problem with a value and a hint to fix it.
type hintedError struct{ problem, hint string }

func (e *hintedError) Error() string { return e.problem }

func wrong(problem, hint string) error { return &hintedError{problem, hint} }

// decode sets the field from a value as a file gives it: text, number, bool, list or map.
func (f *field) decode(s any, value any) error {
	switch v := value.(type) {
	case nil:
		return nil // `key:` without a value is the same as no key
	case string:
		return f.decodeText(s, v)
	case []any:
		return f.decodeList(s, v)
	case map[string]any:
		switch f.kind {
		case kindCredential:
			return f.set(s, Credential(v))
		case kindArguments:
			return f.decodeArguments(s, v)
		case kindLevels:
			return f.decodeLevels(s, v)
		case kindQueues:
			return f.decodeQueues(s, v)
		}
	case bool:
		if f.kind == kindBool {
			return f.set(s, v)
		}
	case int, int64, uint64, float64:
		return f.decodeNumber(s, v)
	}
	return f.wrongKind(value)
}

func (f *field) wrongKind(value any) error {
	hint := "write " + f.kind.String()
	if f.kind == kindText || f.kind == kindSecret || f.kind == kindURL {
		hint = "put it in quotes" // without quotes, YAML reads yes, 0123 and 1.0 as other types
	}
	return wrong(fmt.Sprintf("must be %v, not %s", f.kind, describe(value)), hint)
}

func describe(value any) string {
	switch value.(type) {
	case bool:
		return "true or false"
	case int, int64, uint64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a group of settings"
	case string:
		return "a text"
	}
	return fmt.Sprintf("a %T", value)
}

func (f *field) set(s any, value any) error {
	f.value(s).Set(reflect.ValueOf(value).Convert(f.value(s).Type()))
	return nil
}

func (f *field) decodeNumber(s any, value any) error {
	text := fmt.Sprint(value)
	if f.kind == kindFloat || f.kind == kindDuration && f.isOff && text == "0" {
		return f.decodeText(s, text)
	}
	if f.kind == kindDuration {
		return wrong("must be a duration with a unit", "write it as 5s, 300ms or 1m30s")
	}
	if f.kind != kindInt {
		return f.wrongKind(value)
	}
	n, err := strconv.Atoi(text)
	if v, ok := value.(float64); ok && v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		n, err = int(v), nil
	}
	if err != nil {
		return wrong("must be a whole number", "")
	}
	return errors.Join(f.set(s, n), f.bounds(int64(n)))
}

// decodeText sets the field from the text of a variable, a flag or a file.
func (f *field) decodeText(s any, text string) error {
	switch f.kind {
	case kindText:
		if f.enum != nil && !slices.Contains(f.enum, text) {
			return wrong(fmt.Sprintf("%q is not known", text), "use "+alternatives(f.enum))
		}
		return f.set(s, text)
	case kindSecret, kindURL:
		return f.set(s, text)
	case kindBool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return wrong(fmt.Sprintf("%q is neither true nor false", text), "write true or false")
		}
		return f.set(s, b)
	case kindInt:
		return f.decodeInt(s, text)
	case kindDuration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return wrong(fmt.Sprintf("%q is not a duration", text), "write it as 5s, 300ms or 1m30s")
		}
		return errors.Join(f.set(s, d), f.bounds(int64(d)))
	case kindFloat:
		return f.decodeFloat(s, text)
	case kindQueues, kindArguments, kindLevels:
		return f.decodeGroup(s, text)
	case kindCredential:
		var c map[string]any
		if json.Unmarshal([]byte(text), &c) != nil { // the parser's error would show the text
			return wrong("is not a JSON object", `write {"login": "…", "password": "…"}`)
		}
		return f.set(s, Credential(c))
	}
	return f.decodeTextList(s, text)
}

func (f *field) decodeInt(s any, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		hint := ""
		if strings.HasPrefix(text, "tcp://") {
			hint = "Kubernetes sets this variable for a service of the same name: set enableServiceLinks: false in the pod, or rename the service"
		}
		return wrong(fmt.Sprintf("%q is not a whole number", text), hint)
	}
	return errors.Join(f.set(s, n), f.bounds(int64(n)))
}

func (f *field) decodeFloat(s any, text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return wrong(fmt.Sprintf("%q is not a number", text), "")
	}
	if n < 0 || n > 1 {
		return wrong("must be 0 to 1", "") // all numbers with a fraction are shares
	}
	return f.set(s, n)
}

// bounds checks a number or duration against the minimum and maximum of the field.
func (f *field) bounds(n int64) error {
	least, most := f.limit(f.min), f.limit(f.max)
	if f.min != "" && n < least || f.max != "" && n > most {
		rule := "at least " + f.min
		switch {
		case f.min == "":
			rule = "at most " + f.max
		case f.max != "":
			rule = f.min + " to " + f.max
		}
		return wrong("must be "+rule, "")
	}
	return nil
}

func (f *field) limit(text string) int64 {
	if text == "" {
		return 0
	}
	if f.kind == kindDuration || f.kind == kindDurations {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("settings: tag of " + f.key + ": " + err.Error())
		}
		return int64(d)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("settings: tag of " + f.key + ": " + err.Error())
	}
	return n
}

func alternatives(words []string) string {
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
