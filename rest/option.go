package rest

import (
	"math"
	"net/http"
	"time"
)

// An Option changes one call.
type Option func(*call)

// A call holds the combined options of one call.
type call struct {
	header   http.Header
	params   []any
	body     any
	host     string
	noAuth   bool
	timeout  time.Duration
	maxBytes int64
	limited  bool // maxBytes is set for this call
	request  RequestFormatter
	response ResponseFormatter
}

// Params adds query parameters: a struct or a map, whose names follow the
// RequestFormatter. url.Values or a string such as "a=1&b=2" are sent unchanged. Null
// is omitted, lists repeat the name, booleans are sent as True and False.
// Several Params are combined.
func Params(v any) Option {
	return func(c *call) {
		if v != nil {
			c.params = append(c.params, v)
		}
	}
}

// Header sets a header. It overrides all headers of the client,
// including Authorization and Accept-Language; with an empty value no such header is sent.
func Header(name, value string) Option {
	return func(c *call) {
		if c.header == nil {
			c.header = make(http.Header)
		}
		c.header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// JSON sets the body of a call that has no parameter for one, such as Delete: a
// value for JSON, or a Body.
func JSON(v any) Option { return func(c *call) { c.body = v } }

// Host sends the call to another host, such as "http://other.example.com". It
// must be in Config.ExtraHosts or Config.TrustedHosts; only the latter get the
// token. An empty host means the client's own.
func Host(host string) Option { return func(c *call) { c.host = host } }

// NoAuth sends the call without a token, and does not log in for it.
func NoAuth() Option { return func(c *call) { c.noAuth = true } }

// Timeout limits the whole call, including retries and reading the answer, also
// for Download. Default, also if d is 0: Config.Timeout.
func Timeout(d time.Duration) Option { return func(c *call) { c.timeout = or(d, c.timeout) } }

// MaxBytes limits the decompressed body of the answer, also for Download.
// Default, also if n is not positive: Config.MaxBytes, or no limit for Download.
func MaxBytes(n int64) Option {
	return func(c *call) {
		if n > 0 {
			c.maxBytes, c.limited = min(n, largestLimit), true
		}
	}
}

// largestLimit bounds MaxBytes: one byte more than the limit is read, to see whether the answer exceeds it.
const largestLimit = math.MaxInt64 - 1

// idempotencyHeader is the header of an IdempotencyKey.
const idempotencyHeader = "Idempotency-Key"

// IdempotencyKey sends the header Idempotency-Key: the caller guarantees that the
// server executes a request with this key once. The call may then be repeated
// with any method; net/http relies on the header in the same way.
func IdempotencyKey(key string) Option { return Header(idempotencyHeader, key) }

// FormatRequest sets the encoding of bodies and parameters of this call. Default: Config.RequestFormatter.
func FormatRequest(f RequestFormatter) Option { return func(c *call) { c.request = f } }

// FormatResponse sets the decoding of the result of this call, such as FullResponse
// or FileResponse. Default: Config.ResponseFormatter.
func FormatResponse(f ResponseFormatter) Option { return func(c *call) { c.response = f } }
