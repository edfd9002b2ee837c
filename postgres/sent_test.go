package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// Rows are compared by text: a microsecond or a zone that is lost would keep a sent record in the table.
func TestTimesOfSentRecordsKeepTheirMicrosecondsInUTC(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	sent := []parley.SentRecord{
		{ID: 1, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6_000, zone), MessageID: `a"b\c`},
		{ID: -2, CreatedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), DueAt: time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
	}
	got := sentArgs(sent)
	want := []any{
		`{1,-2}`,
		`{"2026-01-02 01:04:05.000006Z","2026-01-02 00:00:00Z"}`,
		`{NULL,"9999-12-31 23:59:59.999999Z"}`,
		`{"a\"b\\c",""}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("arguments\n got %v\nwant %v", got, want)
	}
}
