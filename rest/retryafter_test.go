package rest

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-5": 0, "1.5": 0, "soon": 0, "99999999999999999999": maxRetryAfter, "9223372036854775807": maxRetryAfter,
		"Wed, 01 May 2024 12:01:00 GMT": time.Minute, "Wednesday, 01-May-24 12:01:00 GMT": time.Minute, "Wed, 01 May 2024 11:00:00 GMT": 0,
		"Fri, 01 Jan 9999 00:00:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q = %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "17", "-1", "1e9", "99999999999999999999", "Wed, 01 May 2024 12:01:00 GMT", "Wed May  1 12:01:00 2024", "٣"} {
		f.Add(s)
	}
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(http.Header{"Retry-After": {value}}, now); d < 0 || d > maxRetryAfter {
			t.Fatalf("Retry-After %q = %v", value, d)
		}
	})
}
