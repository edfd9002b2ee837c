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
				t.Errorf("an expired lease counts: %+v", l)
			}
		}
	})
}

func TestALeaseInTheFileWrittenByAFastClockIsInvalid(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]int{
		`[{"owner": "a", "until": "2026-01-01T00:00:10Z", "length": 15000000000}]`: 1,
		`[{"owner": "a", "until": "2026-01-01T01:00:10Z", "length": 15000000000}]`: 0,
		`[{"owner": "a", "until": "2026-01-01T01:00:10Z"}]`:                        1, // of an older version
		`[{"owner": "a", "until": "2025-12-31T23:59:59Z", "length": 15000000000}]`: 0,
	} {
		if got := len(parseLeases([]byte(text), now)); got != want {
			t.Errorf("%s: %d leases count at %v, want %d", text, got, now, want)
		}
	}
}
