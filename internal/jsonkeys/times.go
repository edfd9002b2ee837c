package jsonkeys

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// wireTime always has a fraction and a Z: Python's parsers ask for them. Six digits are
// what Python's datetime holds.
const wireTime = "2006-01-02T15:04:05.000000Z"

// looseTimes are read although time.Time's own reader refuses them: Django writes
// times without a zone when it is told not to use any.
var looseTimes = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z0700"}

// convert returns the value between start and pos as the other side spells it; changed is
// false if it stays as it is.
func (w *walker) convert(s *Shape, start int) (text string, changed bool, err error) {
	value := w.src[start:w.pos]
	switch {
	case s.kind == timeShape && value[0] == '"' && w.dir == toCamel:
		return timeToWire(value)
	case s.kind == timeShape && value[0] == '"':
		text, changed = timeFromWire(value)
	case s.kind == durationShape && w.dir == toCamel && value[0] != '"' && !w.reads: // encoding/json reads nanoseconds
		n, err := strconv.ParseInt(string(value), 10, 64)
		return `"` + FormatDuration(time.Duration(n)) + `"`, err == nil, nil
	case s.kind == durationShape && w.dir == toSnake && value[0] == '"':
		var iso string
		if json.Unmarshal(value, &iso) != nil {
			return "", false, nil
		}
		d, err := parseDuration(iso)
		return strconv.FormatInt(int64(d), 10), err == nil, nil
	}
	return text, changed, nil
}

// timeToWire writes a time in UTC. There its year may be another one than in its own zone.
func timeToWire(value []byte) (text string, changed bool, err error) {
	t, err := time.Parse(time.RFC3339Nano, string(value[1:len(value)-1]))
	if err != nil {
		return "", false, nil
	}
	text, err = FormatTime(t)
	return `"` + text + `"`, err == nil, err
}

// FormatTime returns the text of a time on the wire. A time outside the years 1 to 9999 in UTC is an error.
func FormatTime(t time.Time) (string, error) {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return "", fmt.Errorf("time %v is in the year %d: the wire has the years 1 to 9999", t, y)
	}
	return t.Format(wireTime), nil
}

func timeFromWire(value []byte) (text string, changed bool) {
	text = strings.ToUpper(string(value[1 : len(value)-1])) // RFC 3339, 5.6: T and Z may be lower case
	if _, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return `"` + text + `"`, text != string(value[1:len(value)-1])
	}
	for _, layout := range looseTimes {
		if t, err := time.Parse(layout, text); err == nil {
			return `"` + t.UTC().Format(time.RFC3339Nano) + `"`, true
		}
	}
	return "", false
}
