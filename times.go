package parley

import (
	"fmt"
	"strings"
	"time"
)

// Times on the wire are UTC with a Z and always have a fraction: the Python library's
// parser accepts no other form (docs/wire.md, chapter "Times").
const (
	microsLayout = "2006-01-02T15:04:05.000000Z"
	millisLayout = "2006-01-02T15:04:05.000Z"
)

func formatMicros(t time.Time) string { return t.UTC().Format(microsLayout) }

func formatMillis(t time.Time) string { return t.UTC().Format(millisLayout) }

// readLayouts are tried in order. Go's parser accepts a fraction of any length
// after the seconds of each layout.
var readLayouts = []string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
}

// firstTime and lastTime are the seconds at the ends of the years 1 to 9999. Outside them databases overflow or return errors, and
// readers expect four digits.
const (
	firstTime = -62135596800
	lastTime  = 253402300799
)

// checkTime rejects times that some database or reader cannot hold. Most are a mistake of units.
func checkTime(what string, t time.Time) error {
	if s := t.Unix(); s < firstTime || s > lastTime {
		return &InvalidError{What: what, Value: fmt.Sprintf("%d seconds since 1970", s),
			Problem: "is outside the years 1 to 9999 (milliseconds used as seconds?)"}
	}
	return nil
}

// parseTime reads a time in every form that a version of the
// Python library or another JSON encoder writes. Without a zone it is UTC.
func parseTime(s string) (time.Time, error) {
	upper := strings.ToUpper(s) // RFC 3339, 5.6: T and Z may be lower case
	for _, layout := range readLayouts {
		if t, err := time.Parse(layout, upper); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not in the form 2006-01-02T15:04:05.000Z", shorten(s, 64))
}
