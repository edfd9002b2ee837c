package jsonkeys

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatDuration returns the text of d on the wire, which is Django's: P1DT01H01M01.000500S (ISO 8601). Nanoseconds, which Python's
// timedelta does not have, make the fraction longer; Django reads and rounds it.
func FormatDuration(d time.Duration) string {
	sign, nanos := "", uint64(d)
	if d < 0 {
		sign, nanos = "-", -nanos
	}
	seconds := nanos / 1e9
	text := fmt.Sprintf("%sP%dDT%02dH%02dM%02d", sign, seconds/86400, seconds/3600%24, seconds/60%60, seconds%60)
	switch nanos %= 1e9; {
	case nanos%1000 != 0:
		text += fmt.Sprintf(".%09d", nanos)
	case nanos != 0:
		text += fmt.Sprintf(".%06d", nanos/1000)
	}
	return text + "S"
}

// parseDuration reads the forms that Django and its REST framework write: an ISO 8601 duration, or a
// clock with days before it.
func parseDuration(s string) (time.Duration, error) {
	if strings.Contains(s, "P") {
		return parseISODuration(s)
	}
	return parseClock(s)
}

// parseISODuration reads an ISO 8601 duration of days and smaller units, with a sign and a
// fraction, after a dot or a comma.
func parseISODuration(s string) (time.Duration, error) {
	bad := badDuration(s)
	rest, negative := cutSign(strings.ReplaceAll(s, ",", "."))
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

func badDuration(s string) error {
	return fmt.Errorf("duration %.64q is neither in the form P1DT01H01M01.5S nor 1 01:01:01.5", s)
}

// cutSign returns s without its sign.
func cutSign(s string) (rest string, negative bool) {
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		return rest, false
	}
	return strings.CutPrefix(s, "-")
}

// parseClock reads "01:02:03", "1 01:02:03.000500" and "-1 23:59:55": the days have a sign of
// their own, so the last one is five seconds below zero. As Django does, it accepts "1 day, 1:02:03" (Python's str of a
// timedelta), "-3 days +04:05:06" (an interval of PostgreSQL), "02:03", "3", and a comma for the dot.
func parseClock(s string) (time.Duration, error) {
	bad := badDuration(s)
	total, clock := time.Duration(0), s
	if days, rest, hasDays := strings.Cut(s, " "); hasDays {
		clock = rest
		n, err := signed(days, 24*time.Hour)
		if err != nil {
			return 0, bad
		}
		total = n
		for _, word := range []string{"days, ", "day, ", "days ", "day "} {
			clock = strings.TrimPrefix(clock, word)
		}
	}
	digits, negative := cutSign(clock)
	n, err := clockTime(digits)
	if err != nil {
		return 0, bad
	}
	if negative {
		n = -n
	}
	sum := total + n
	if n > 0 && sum < total || n < 0 && sum > total {
		return 0, bad
	}
	return sum, nil
}

// clockTime reads hours, minutes and seconds; the last are required.
func clockTime(s string) (time.Duration, error) {
	parts := strings.Split(strings.Replace(s, ",", ".", 1), ":")
	units := []time.Duration{time.Hour, time.Minute, time.Second}
	if len(parts) > len(units) {
		return 0, badDuration(s)
	}
	total := time.Duration(0)
	for i, unit := range units[len(units)-len(parts):] {
		if unit != time.Second && strings.Contains(parts[i], ".") {
			return 0, badDuration(s)
		}
		n, err := scale(parts[i], unit)
		if err != nil || n > maxDuration-total {
			return 0, badDuration(s)
		}
		total += n
	}
	return total, nil
}

// signed returns number times unit; number has no fraction.
func signed(number string, unit time.Duration) (time.Duration, error) {
	digits, negative := strings.CutPrefix(number, "-")
	if strings.Contains(digits, ".") {
		return 0, badDuration(number)
	}
	n, err := scale(digits, unit)
	if negative {
		n = -n
	}
	return n, err
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
	if strings.Trim(fraction, "0123456789") != "" {
		return 0, fmt.Errorf("number %q", number)
	}
	f, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 63)
	if err != nil {
		return 0, err
	}
	part := time.Duration(float64(f)/1e9*float64(unit) + .5)
	if part > maxDuration-total {
		return 0, fmt.Errorf("number %q", number)
	}
	return total + part, nil
}
