package sqlite

import (
	"testing"
	"time"
)

func FuzzLeasesAreReadOrIgnored(f *testing.F) {
	f.Add(`[{"owner": "a", "until": "2026-01-02T03:04:05Z", "ordered": true, "rows": [1, 2]}]`)
	f.Add(`[{"rows": 1}]`)
	f.Add(``)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range parseLeases([]byte(text), now) {
			if !now.Before(l.Until) {
				t.Errorf("a lease that has run out counts: %+v", l)
			}
		}
	})
}
