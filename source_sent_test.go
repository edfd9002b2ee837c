package parley

import (
	"testing"
	"time"
)

func TestASentRecordIsRecognisedByMoreThanItsID(t *testing.T) {
	created := time.Date(2026, 11, 1, 12, 0, 0, 123_456_789, time.UTC)
	due := created.Add(time.Hour)
	r := &Record{ID: 7, CreatedAt: created, DueAt: due}
	r.Message.ID = "a"
	sent := r.Sent()
	for name, c := range map[string]struct {
		change          func(s *SentRecord)
		same, unchanged bool
	}{
		"itself":                     {func(*SentRecord) {}, true, true},
		"nanoseconds less":           {func(s *SentRecord) { s.CreatedAt = s.CreatedAt.Truncate(time.Microsecond) }, true, true},
		"no message id":              {func(s *SentRecord) { s.MessageID = "" }, true, true},
		"another message id":         {func(s *SentRecord) { s.MessageID = "b" }, false, false},
		"another id":                 {func(s *SentRecord) { s.ID = 8 }, false, false},
		"created at another time":    {func(s *SentRecord) { s.CreatedAt = s.CreatedAt.Add(time.Microsecond) }, false, false},
		"rescheduled":                {func(s *SentRecord) { s.DueAt = s.DueAt.Add(time.Minute) }, true, false},
		"rescheduled to be sent now": {func(s *SentRecord) { s.DueAt = time.Time{} }, true, false},
	} {
		other := sent
		c.change(&other)
		if sent.SameRecord(other) != c.same || sent.Unchanged(other) != c.unchanged {
			t.Errorf("%s: same %v, unchanged %v, want %v and %v", name, sent.SameRecord(other), sent.Unchanged(other), c.same, c.unchanged)
		}
	}
}
