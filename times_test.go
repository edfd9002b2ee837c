package parley

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"
)

func TestTimesAreReadInEitherCase(t *testing.T) {
	want := time.Date(2023, 6, 2, 10, 58, 56, 0, time.UTC)
	for _, text := range []string{
		"2023-06-02T10:58:56Z", "2023-06-02T10:58:56z", "2023-06-02t10:58:56z", "2023-06-02t12:58:56+02:00", "2023-06-02 10:58:56z", "2023-06-02t10:58:56.000z",
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%q is read as %v (%v)", text, got, err)
		}
	}
	meta, err := readMeta([]byte(`{"expiredTime": "2023-06-02T10:58:56z", "time": "2023-06-02t10:58:56z"}`))
	if err != nil || !meta.expires.Equal(want) || !meta.time.Equal(want) {
		t.Errorf("meta data with lower-case times: %+v (%v)", meta, err)
	}
	event, err := readEvent([]byte(`{"eventTime": "2023-06-02T10:58:56z"}`))
	if err != nil || !event.time.Equal(want) {
		t.Errorf("an event with a lower-case time: %v (%v)", event.time, err)
	}
	var payload struct{ At time.Time }
	c := codecOf(reflect.TypeOf(payload))
	if err := c.decode([]byte(`{"at": "2023-06-02t10:58:56z"}`), &payload, &Delivery{}); err != nil || !payload.At.Equal(want) {
		t.Errorf("a payload with a lower-case time: %v (%v)", payload.At, err)
	}
}

func TestAnEventWhoseTimeCannotBeReadIsMalformed(t *testing.T) {
	_, err := readEvent([]byte(`{"eventTime": "yesterday", "payload": {}}`))
	if !(RetryPolicy{}).permanent(err) {
		t.Errorf("%v is tried again, want the message parked at once", err)
	}
}

func TestTheYears1To9999AreAccepted(t *testing.T) {
	for _, at := range []time.Time{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Now()} {
		if err := checkTime("At", at); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
	for _, at := range farTimes {
		if err := checkTime("At", at); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v is accepted (%v)", at.Unix(), err)
		}
	}
}

// farTimes are mistakes of units, overflows, and times directly beyond the limits.
var farTimes = []time.Time{
	time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
	time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)),
	time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(time.Now().UnixMilli(), 0), time.Unix(time.Now().UnixNano(), 0),
	time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC),
}
