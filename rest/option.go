package rest

import (
	"net/http"
	"time"
)

// An Option changes one call.
type Option func(*call)

// A call is what the options of one call add up to.
type call struct {
	header   http.Header
	params   []any
	body     any
	host     string
	noAuth   bool
	timeout  time.Duration
	maxBytes int64
	limited  bool // maxBytes is the call's own
	request  RequestFormatter
	response ResponseFormatter
}

// Params adds query parameters: a struct or a map, whose names follow the
// RequestFormatter; url.Values or a string such as "a=1&b=2" go as they are. Null
// is left out, lists repeat the name, booleans are sent as True and False.
// Several Params add up.
func Params(v any) Option {
	return func(c *call) {
		if v != nil {
			c.params = append(c.params, v)
		}
	}
}

// Header sets a header. It wins over what the client would send by itself,
// Authorization and Accept-Language included; an empty value sends no such header.
func Header(name, value string) Option {
	return func(c *call) {
		if c.header == nil {
			c.header = make(http.Header)
		}
		c.header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// JSON gives a body to a call that has no parameter for one, such as Delete: a
// value for JSON, or a Body.
func JSON(v any) Option { return func(c *call) { c.body = v } }

// Host sends the call to another host, such as "http://other.example.com". It
// must be in Config.ExtraHosts or Config.TrustedHosts; only the latter get the
// token. An empty host is the client's own.
func Host(host string) Option { return func(c *call) { c.host = host } }

// NoAuth sends the call without a token, and does not log in for it.
func NoAuth() Option { return func(c *call) { c.noAuth = true } }

// Timeout bounds the whole call, retries and reading the answer included, also
// for Download. Default: Config.Timeout, also if d is 0.
func Timeout(d time.Duration) Option { return func(c *call) { c.timeout = or(d, c.timeout) } }

// MaxBytes bounds the decompressed body of the answer, also for Download.
// Default: Config.MaxBytes, and none for Download, also if n is 0.
func MaxBytes(n int64) Option {
	return func(c *call) { c.maxBytes, c.limited = or(n, c.maxBytes), c.limited || n != 0 }
}

// idempotencyHeader is the header of an IdempotencyKey.
const idempotencyHeader = "Idempotency-Key"

// IdempotencyKey sends the header Idempotency-Key: the caller's word that the
// server does a request with this key once. The call may then be repeated
// whatever its method; net/http counts on the header in the same way.
func IdempotencyKey(key string) Option { return Header(idempotencyHeader, key) }

// FormatRequest sets how bodies and parameters of this call are made. Default: Config.RequestFormatter.
func FormatRequest(f RequestFormatter) Option { return func(c *call) { c.request = f } }

// FormatResponse sets how the result of this call is made, such as FullResponse
// or FileResponse. Default: Config.ResponseFormatter.
func FormatResponse(f ResponseFormatter) Option { return func(c *call) { c.response = f } }
