package rest

import (
	"encoding/base64"
	"testing"
	"time"
)

func TestTheLifeOfAJWTIsTakenFromTheIssuersClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, claims string
		want         time.Time
	}{
		{"life of a minute, whatever the clock of the issuer", `{"iat": 1000, "exp": 1060}`, now.Add(time.Minute)},
		{"end only", `{"exp": 1767322000}`, time.Unix(1767322000, 0)},
		{"ends before it begins", `{"iat": 1060, "exp": 1000}`, time.Unix(1000, 0)},
		{"no end", `{"iat": 1000}`, time.Time{}},
		{"impossible end", `{"exp": 1e300}`, time.Time{}},
		{"end of another type", `{"exp": "soon"}`, time.Time{}},
		{"no JSON", `exp`, time.Time{}},
	} {
		token := "h." + base64.RawURLEncoding.EncodeToString([]byte(c.claims)) + ".s"
		if got := jwtExpiry(token, now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzATokenIsReadAsAJWTOrNot(f *testing.F) {
	for _, token := range []string{"", "opaque", "a.b", "a.e30.c", "a.eyJleHAiOjF9.c", "a.eyJleHAiOjF9==.c", "a.!.c"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if end := jwtExpiry(token, time.Now()); !end.IsZero() && end.Year() > 5200 {
			t.Errorf("%q ends in the year %d", token, end.Year())
		}
	})
}
