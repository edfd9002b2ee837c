package rest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// readBody reads the whole body, up to limit bytes after
// decompression, and releases the connection.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if resp.Request.Method == http.MethodHead {
		return nil, nil // its Content-Length is that of a GET
	}
	if resp.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	// The announced length is not trusted: at most 64 KiB are allocated in advance.
	buf := make([]byte, 0, min(max(resp.ContentLength, 0), 64<<10)+512)
	for {
		room := buf[len(buf):cap(buf)]
		if left := limit + 1 - int64(len(buf)); left < int64(len(room)) {
			room = room[:left]
		}
		n, err := resp.Body.Read(room)
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, tooLarge(limit)
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) == cap(buf):
			buf = slices.Grow(buf, 1)
		}
	}
}

func tooLarge(limit int64) error { return fmt.Errorf("%w than %d bytes", errLarger, limit) }

// errorBodyBytes is how much of an error's body is kept.
const errorBodyBytes = 64 << 10

// responseError reads the kept part of the answer's body, and closes it.
func responseError(method string, u *url.URL, resp *http.Response) *ResponseError {
	// A read error is ignored: the status is enough.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, errorBodyBytes+1))
	discard(resp)
	e := &ResponseError{
		Method: method, URL: redactURL(u), Status: resp.StatusCode, Header: resp.Header, Body: body,
		RetryAfter: retryAfter(resp.Header, time.Now()),
	}
	if len(body) > errorBodyBytes {
		e.Body, e.Truncated = body[:errorBodyBytes], true
	}
	e.Problem = parseProblem(resp.Header.Get("Content-Type"), e.Body)
	hideEcho(e, resp.Request)
	if e.Status >= 300 && e.Status < 400 {
		if to, err := resp.Location(); err == nil {
			e.Location = to.String()
		}
	}
	return e
}
