package parley

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Tags mark scheduled messages, so that they can be cancelled or rescheduled by any
// subset of them. Keys are free text. Values are compared as strings, converted like
// str() does in the Python library: 1 equals "1", but true is "True". Allowed are strings, integers, floats, bool,
// time.Time, fmt.Stringer and nil. A nil pointer with a String method is nil too. A time is written in UTC and cut to microseconds, like
// "2023-06-02 10:00:00.123456+00:00", so that it equals the same instant in another zone.
type Tags map[string]any

// strings returns the tags in the form in which they are stored and compared.
func (t Tags) strings() (map[string]string, error) {
	if len(t) == 0 {
		return nil, &InvalidError{What: "tags", Problem: "must not be empty: they would match everything"}
	}
	out := make(map[string]string, len(t))
	for name, value := range t {
		s, err := tagString(value)
		if err != nil {
			return nil, &InvalidError{What: "tag", Value: name, Problem: err.Error()}
		}
		out[name] = s
	}
	return out, checkTags(out)
}

// checkTags returns an error for tags that a database could not hold as they are.
func checkTags(tags map[string]string) error {
	for name, value := range tags {
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return &InvalidError{What: "tag", Value: name, Problem: "must be valid UTF-8"}
		case strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0:
			return &InvalidError{What: "tag", Value: name, Problem: "must not contain U+0000: databases cannot hold it"}
		}
	}
	return nil
}

func tagString(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "None", nil
	case string:
		return v, nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case time.Time:
		return pythonTime(v), nil
	case fmt.Stringer: // before the kinds: a named integer may have its own text
		if isNil(v) {
			return "None", nil
		}
		if t, ok := v.(*time.Time); ok {
			return pythonTime(*t), nil
		}
		return v.String(), nil
	case float64:
		return pythonFloat(v), nil
	case float32:
		return pythonFloat(float64(v)), nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	case big.Int:
		return v.String(), nil
	}
	return namedTagString(value)
}

// pythonTime formats t like Python's str of a datetime in UTC: without a fraction if it is zero. Go's own String contains
// the monotonic clock reading, so the same instant from a database would not equal it.
func pythonTime(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02 15:04:05-07:00")
	}
	return t.Format("2006-01-02 15:04:05.000000-07:00")
}

// pythonFloat formats f like Python's repr: the shortest digits that parse to
// the same value, with an exponent below 1e-4 and from 1e16 on.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// namedTagString converts values of named basic types, such as type UserID int64.
func namedTagString(value any) (string, error) {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return tagString(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return pythonFloat(v.Float()), nil
	}
	return "", fmt.Errorf("type %T is not allowed as a tag: use a string, a number, a bool, a time.Time, a fmt.Stringer or nil", value)
}
