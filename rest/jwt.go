package rest

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// jwtExpiry returns when a JWT (RFC 7519) expires, or zero if token is not a JWT or has no
// expiry. It does not check the signature: the token is only passed on, and a wrong
// expiry would cost one 401.
func jwtExpiry(token string, now time.Time) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp json.Number `json:"exp"`
		Iat json.Number `json:"iat"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	exp, ok := unixSeconds(claims.Exp)
	if !ok {
		return time.Time{}
	}
	// The difference of two times of the issuer's clock: the local clock may be off by more
	// than the life of the token.
	if iat, ok := unixSeconds(claims.Iat); ok && exp > iat {
		return now.Add(time.Duration((exp - iat) * float64(time.Second)))
	}
	return time.Unix(int64(exp), 0)
}

// unixSeconds parses a NumericDate and refuses impossible times.
func unixSeconds(n json.Number) (float64, bool) {
	f, err := n.Float64()
	return f, err == nil && f > 0 && f < 1e11
}
