package sqlstore

import (
	"database/sql"
	"testing"
	"time"
)

// Histories come from other processes, with any clock.
func TestATimeOutsideTheRangeOfAColumnBecomesTheNearestOne(t *testing.T) {
	f := &Failures[Tx]{d: FailureDialect{Time: func(at time.Time) any { return at }}}
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, c := range []struct {
		at   time.Time
		want any
	}{{now, now}, {time.Time{}, nil}, {firstTime.Add(-1), firstTime}, {lastTime.AddDate(1, 0, 0), lastTime}} {
		if got := f.failureTime(c.at); got != c.want {
			t.Errorf("%v is stored as %v, want %v", c.at, got, c.want)
		}
	}
	if got := fromMicros(sql.NullInt64{Int64: now.UnixMicro(), Valid: true}); !got.Equal(now) {
		t.Errorf("%v is read as %v", now, got)
	}
	if got := fromMicros(sql.NullInt64{}); !got.IsZero() {
		t.Errorf("NULL is read as %v", got)
	}
}
