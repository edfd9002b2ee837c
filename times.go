package parley

import (
	"fmt"
	"time"
)

// Times on the wire are UTC with a Z and always a fraction: the Python library's
// parser takes nothing else (docs/wire.md, chapter "Times").
const (
	microsLayout = "2006-01-02T15:04:05.000000Z"
	millisLayout = "2006-01-02T15:04:05.000Z"
)

func formatMicros(t time.Time) string { return t.UTC().Format(microsLayout) }

func formatMillis(t time.Time) string { return t.UTC().Format(millisLayout) }

// readLayouts are tried in order. Go's parser takes a fraction of any length
// after the seconds of each of them.
var readLayouts = []string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
}

// parseTime reads a time in every form that is written by one version of the
// Python library or by other JSON encoders. Without a zone it is UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range readLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not in the form 2006-01-02T15:04:05.000Z", shorten(s, 64))
}
