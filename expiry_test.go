package parley

import (
	"testing"
	"time"
)

func TestTheExpiryOfAStoredMessageIsThatOfItsBody(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		kind Kind
		body string
		want time.Time
	}{
		{KindCommand, `{"phone": "1", "meta": {"expiredTime": "2026-01-02T03:04:05.000Z"}}`, at},
		{"", `{"meta": {"expired_time": "2026-01-02T03:04:05.000Z"}}`, at}, // of the Python library
		{KindCall, `{"id": 1, "meta": {"time": "2026-01-01T00:00:00.000Z"}}`, time.Time{}},
		{KindEvent, `{"meta": {"expiredTime": "2026-01-02T03:04:05.000Z"}}`, time.Time{}}, // events do not expire
		{KindCommand, `{"meta": {"expiredTime": "soon"}}`, time.Time{}},
		{KindCommand, `not JSON`, time.Time{}},
		{KindCommand, `{"meta": 5}`, time.Time{}},
	} {
		if got := ExpiryOf(&Message{Kind: tt.kind, Body: []byte(tt.body)}); !got.Equal(tt.want) {
			t.Errorf("%s %s expires at %v, want %v", tt.kind, tt.body, got, tt.want)
		}
	}
}
