package jsonkeys

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type tookTime struct{ Took time.Duration }

// readDuration decodes text, a JSON string's content, as a field of a payload.
func readDuration(text string) (time.Duration, error) {
	quoted, _ := json.Marshal(text)
	doc, err := ShapeOf(reflect.TypeFor[tookTime]()).FromWire(nil, []byte(`{"took":`+string(quoted)+`}`), Limits{})
	if err != nil {
		return 0, err
	}
	var v tookTime
	err = json.Unmarshal(doc, &v)
	return v.Took, err
}

func TestDurationsOfDjangoRESTFrameworkAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"01:02:03":            time.Hour + 2*time.Minute + 3*time.Second,
		"1 01:02:03.000500":   25*time.Hour + 2*time.Minute + 3*time.Second + 500*time.Microsecond,
		"-1 23:59:55":         -5 * time.Second,
		"-1 23:59:59.999999":  -time.Microsecond,
		"-2 00:00:00":         -48 * time.Hour,
		"00:00:00":            0,
		"3 00:00:00":          72 * time.Hour,
		"100 1:00:00,25":      2401*time.Hour + 250*time.Millisecond,
		"1 day, 1:02:03":      25*time.Hour + 2*time.Minute + 3*time.Second,
		"-1 day, 23:59:55":    -5 * time.Second,
		"2 days, 0:00:00.5":   48*time.Hour + 500*time.Millisecond,
		"-00:00:05":           -5 * time.Second,
		"02:03":               2*time.Minute + 3*time.Second,
		"15":                  15 * time.Second,
		"P1DT01H01M01.5S":     25*time.Hour + time.Minute + time.Second + 500*time.Millisecond,
		"-P0DT00H00M05S":      -5 * time.Second,
		"+P1D":                24 * time.Hour,
		"P1DT1,5S":            24*time.Hour + 1500*time.Millisecond,
		"3 days 04:05:06":     76*time.Hour + 5*time.Minute + 6*time.Second,
		"-3 days +04:05:06":   -72*time.Hour + 4*time.Hour + 5*time.Minute + 6*time.Second,
		"1 day -00:00:01":     24*time.Hour - time.Second,
		"-106751 00:00:00":    -106751 * 24 * time.Hour,
		"106751 23:47:16.854": 106751*24*time.Hour + 23*time.Hour + 47*time.Minute + 16854*time.Millisecond,
	} {
		if got, err := readDuration(text); err != nil || got != want {
			t.Errorf("%q read as %v (%v), want %v", text, got, err, want)
		}
	}
}

func TestWhatIsNoDurationIsRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "1 ", "1 day", "1 day,", "day, 01:02:03", "01:02:03:04", "1:2.5:3", "1.5 01:02:03", "01:02:", ":", "a:b:c", "1  01:02:03",
		"106752 00:00:00", "-106752 00:00:00", "106751 23:47:17", "+1 01:02:03", "--00:00:05", "+-P1D", "3 days, +", "1 days", "01:02:-3", "1 01:02:03 ", "1e3", "0x10", "P", "PT", "P1",
	} {
		if got, err := readDuration(text); err == nil {
			t.Errorf("%q read as %v", text, got)
		}
	}
}

// djangoString writes d as duration_string of Django does.
func djangoString(d time.Duration) string {
	days := d / (24 * time.Hour)
	if d%(24*time.Hour) < 0 {
		days--
	}
	rest := d - days*24*time.Hour
	text := fmt.Sprintf("%02d:%02d:%02d", rest/time.Hour, rest/time.Minute%60, rest/time.Second%60)
	if days != 0 {
		text = fmt.Sprintf("%d %s", days, text)
	}
	if micros := rest.Microseconds() % 1e6; micros != 0 {
		text += fmt.Sprintf(".%06d", micros)
	}
	return text
}

// FuzzDuration reads any text, and what both forms of Django make of a duration.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"PT0.000000000AS", "01:02:03", "1 01:02:03.000500", "-1 23:59:55", "P1DT01H01M01.5S", "-P0DT00H00M05S", "1 day, 0:00:01", "PT1.999999999S", "9:9:9.9999999999"} {
		f.Add(text, int64(25*time.Hour+500*time.Microsecond))
	}
	f.Fuzz(func(t *testing.T, text string, nanos int64) {
		if d, err := parseDuration(text); err == nil && strings.Trim(text, "+-0123456789:., daysPTWDHMS") != "" {
			t.Errorf("%q was read as %v", text, d)
		}
		if nanos < -1<<62 || nanos > 1<<62 {
			return // the first or last days of a duration may be out of range
		}
		micros := time.Duration(nanos).Truncate(time.Microsecond)
		for text, want := range map[string]time.Duration{FormatDuration(time.Duration(nanos)): time.Duration(nanos), djangoString(micros): micros} {
			if got, err := parseDuration(text); err != nil || got != want {
				t.Errorf("%v, written as %q, was read as %v (%v)", want, text, got, err)
			}
		}
	})
}
