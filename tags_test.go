package parley

import (
	"errors"
	"math"
	"math/big"
	"net/url"
	"testing"
	"time"
)

type (
	userID  int64
	colour  string
	enabled bool
	share   float64
)

func TestTagsAreWrittenAsPythonWritesThem(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, "None"},
		{"text", "text"},
		{true, "True"},
		{false, "False"},
		{42, "42"},
		{uint8(7), "7"},
		{*big.NewInt(12), "12"},
		{big.NewInt(13), "13"},
		{1.0, "1.0"},
		{0.0001, "0.0001"},
		{0.00001, "1e-05"},
		{1e16, "1e+16"},
		{math.NaN(), "nan"},
		{math.Inf(1), "inf"},
		{math.Inf(-1), "-inf"},
		{float32(0.5), "0.5"},
		{90 * time.Second, "1m30s"}, // a fmt.Stringer
		{userID(5), "5"},
		{colour("red"), "red"},
		{enabled(true), "True"},
		{share(0.25), "0.25"},
	} {
		got, err := Tags{"tag": c.value}.strings()
		if err != nil || got["tag"] != c.want {
			t.Errorf("%T %v: got %q (%v), want %q", c.value, c.value, got["tag"], err, c.want)
		}
	}
}

func TestANilPointerIsTheTagNone(t *testing.T) {
	for _, value := range []any{(*url.URL)(nil), (*big.Int)(nil), (*time.Time)(nil)} {
		if got, err := (Tags{"tag": value}).strings(); err != nil || got["tag"] != "None" {
			t.Errorf("%T nil: got %q (%v), want None", value, got["tag"], err)
		}
	}
}

func TestATimeAsATagIsWrittenAsPythonsStrInUTC(t *testing.T) {
	tashkent := time.FixedZone("", 5*60*60)
	at := time.Date(2023, 6, 2, 15, 0, 0, 123456789, tashkent)
	for _, c := range []struct {
		value any
		want  string
	}{
		{at, "2023-06-02 10:00:00.123456+00:00"},
		{&at, "2023-06-02 10:00:00.123456+00:00"},
		{at.Truncate(time.Second), "2023-06-02 10:00:00+00:00"},
		{at.Truncate(time.Second).Add(999), "2023-06-02 10:00:00+00:00"},
		{at.Truncate(time.Second).Add(500 * time.Microsecond), "2023-06-02 10:00:00.000500+00:00"},
	} {
		if got, err := (Tags{"tag": c.value}).strings(); err != nil || got["tag"] != c.want {
			t.Errorf("%v: got %q (%v), want %q", c.value, got["tag"], err, c.want)
		}
	}
	now := time.Now()
	one, _ := Tags{"tag": now}.strings()
	other, _ := Tags{"tag": time.UnixMicro(now.UnixMicro()).In(tashkent)}.strings()
	if one["tag"] != other["tag"] {
		t.Errorf("a tag of the present time is %q, and %q as read from a database", one["tag"], other["tag"])
	}
}

func TestTagsThatMatchEverythingOrCannotBeStoredAreInvalid(t *testing.T) {
	for name, tags := range map[string]Tags{
		"none":           {},
		"a slice":        {"tag": []int{1}},
		"a zero in text": {"tag": "a\x00b"},
		"a zero in key":  {"a\x00b": "text"},
		"no UTF-8":       {"tag": "M\xfcller"},
		"a key in Latin": {"\xfc": "text"},
	} {
		if got, err := tags.strings(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, %v, want an error that is ErrInvalid", name, got, err)
		}
	}
}
