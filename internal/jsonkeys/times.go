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

// convert returns the value between start and pos as the other side spells it; ok is
// false if it stays as it is.
func (w *walker) convert(s *Shape, start int) (text string, ok bool) {
	value := w.src[start:w.pos]
	switch {
	case s.kind == timeShape && value[0] == '"':
		return w.convertTime(value)
	case s.kind == durationShape && w.dir == toCamel && value[0] != '"':
		n, err := strconv.ParseInt(string(value), 10, 64)
		return `"` + formatDuration(time.Duration(n)) + `"`, err == nil
	case s.kind == durationShape && w.dir == toSnake && value[0] == '"':
		var iso string
		if json.Unmarshal(value, &iso) != nil {
			return "", false
		}
		d, err := parseDuration(iso)
		return strconv.FormatInt(int64(d), 10), err == nil
	}
	return "", false
}

func (w *walker) convertTime(value []byte) (string, bool) {
	text := string(value[1 : len(value)-1])
	t, err := time.Parse(time.RFC3339Nano, text)
	if w.dir == toCamel {
		return `"` + t.UTC().Format(wireTime) + `"`, err == nil
	}
	if err == nil {
		return "", false
	}
	for _, layout := range looseTimes {
		if t, err := time.Parse(layout, text); err == nil {
			return `"` + t.UTC().Format(time.RFC3339Nano) + `"`, true
		}
	}
	return "", false
}

// formatDuration writes d as Django does: P1DT01H01M01.000500S (ISO 8601).
func formatDuration(d time.Duration) string {
	sign, micros := "", d.Microseconds()
	if micros < 0 {
		sign, micros = "-", -micros
	}
	seconds := micros / 1e6
	text := fmt.Sprintf("%sP%dDT%02dH%02dM%02d", sign, seconds/86400, seconds/3600%24, seconds/60%60, seconds%60)
	if micros %= 1e6; micros != 0 {
		text += fmt.Sprintf(".%06d", micros)
	}
	return text + "S"
}

// parseDuration reads an ISO 8601 duration of days and smaller units, with a sign and a
// fraction of seconds.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("duration %.64q is not in the form P1DT01H01M01.5S", s)
	rest, negative := strings.CutPrefix(s, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return 0, bad
	}
	days, clock, hasClock := strings.Cut(rest, "T")
	total := time.Duration(0)
	parts := []struct {
		text  *string
		unit  string
		value time.Duration
	}{{&days, "W", 7 * 24 * time.Hour}, {&days, "D", 24 * time.Hour}, {&clock, "H", time.Hour}, {&clock, "M", time.Minute}, {&clock, "S", time.Second}}
	for _, p := range parts {
		number, after, found := strings.Cut(*p.text, p.unit)
		if !found {
			continue
		}
		n, err := scale(number, p.value)
		if err != nil || n > maxDuration-total {
			return 0, bad
		}
		total += n
		*p.text = after
	}
	if days != "" || clock != "" || hasClock && strings.HasSuffix(s, "T") {
		return 0, bad
	}
	if negative {
		total = -total
	}
	return total, nil
}

const maxDuration = time.Duration(1<<63 - 1)

// scale returns number times unit. Only digits and one dot are taken.
func scale(number string, unit time.Duration) (time.Duration, error) {
	whole, fraction, _ := strings.Cut(number, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || n > uint64(maxDuration/unit) {
		return 0, fmt.Errorf("number %q", number)
	}
	total := time.Duration(n) * unit
	if fraction == "" {
		return total, nil
	}
	f, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 63)
	if err != nil {
		return 0, err
	}
	return total + time.Duration(float64(f)/1e9*float64(unit)+.5), nil
}
