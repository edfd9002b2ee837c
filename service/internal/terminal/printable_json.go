package terminal

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf16"
)

type object = map[string]any

// jsonValue converts a value of a message to one that package json can encode. Package json cannot encode times after the year 9999,
// NaN and infinity.
func jsonValue(value any) any {
	switch v := value.(type) {
	case object:
		out := make(object, len(v))
		for name, item := range v {
			out[name] = jsonValue(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = jsonValue(v[i])
		}
		return out
	case time.Time:
		if year := v.Year(); year < 0 || year > 9999 {
			return fmt.Sprintf("%d seconds since 1970", v.Unix())
		}
		if _, err := v.MarshalJSON(); err != nil { // a zone offset that RFC 3339 does not allow
			return v.UTC()
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	}
	return value
}

// escapeJSON escapes unsafe characters in a line of JSON. They occur only in strings.
func escapeJSON(text []byte) []byte {
	hidden := func(r rune) bool { return r != '\n' && Unsafe(r) }
	if bytes.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// A LogLines writes log lines to W and escapes their unsafe characters. Each call of Write must be a whole line, as log handlers do.
type LogLines struct{ W io.Writer }

// Write implements io.Writer.
func (l LogLines) Write(line []byte) (int, error) {
	if _, err := l.W.Write(escapeJSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
