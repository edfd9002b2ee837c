package rest

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// A Reader is an answer with a good status whose body is read as it arrives. Close it.
type Reader struct {
	// Status is the HTTP status code, 200 to 299.
	Status int
	// Header is the answer's header.
	Header http.Header
	// Size is the length of the body in bytes, or -1 if unknown.
	Size int64

	method string
	url    *url.URL
	body   io.ReadCloser
	cancel context.CancelFunc
	limit  int64 // 0 means no limit
	left   int64
	err    error // sticky
}

// Download requests path and returns the answer as a stream, for files larger than
// memory. Its errors are those of Get.
//
// The timeout of the call includes reading the whole stream, so a slow server cannot block the
// caller indefinitely. Raise it for large files with the option Timeout. A stream that breaks off
// is an error of Read, never a short file.
func Download(ctx context.Context, c *Client, path string, opts ...Option) (*Reader, error) {
	cl := c.newCall(opts)
	if cl.header["Accept"] == nil {
		Header("Accept", "*/*")(cl)
	}
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	resp, err := c.send(ctx, http.MethodGet, path, cl)
	if err != nil {
		cancel()
		return nil, err
	}
	r := &Reader{
		Status: resp.StatusCode, Header: resp.Header, Size: resp.ContentLength,
		method: http.MethodGet, url: resp.Request.URL, body: resp.Body, cancel: cancel,
	}
	if cl.limited {
		r.limit, r.left = cl.maxBytes, cl.maxBytes
		if r.Size > r.limit {
			_ = r.Close() // the answer is not used
			return nil, r.failed(tooLarge(r.limit))
		}
	}
	return r, nil
}

// URL returns the URL of the answer, after redirects, without user and secret query values.
func (r *Reader) URL() string { return redactURL(r.url) }

// Name returns the file name that the server suggests, without any folder, or "".
func (r *Reader) Name() string {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	name := path.Base(strings.ReplaceAll(params["filename"], `\`, "/"))
	if name == "." || name == ".." || name == "/" || !headerSafe(name) {
		return ""
	}
	return name
}

// Read reads the body, decompressed. Its errors are io.EOF and *RequestError.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.limit > 0 && int64(len(p)) > r.left+1 {
		p = p[:r.left+1] // one more byte shows whether the limit is exceeded
	}
	n, err := r.body.Read(p)
	if r.limit > 0 && int64(n) > r.left {
		n, err = int(r.left), tooLarge(r.limit)
	}
	r.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.failed(err)
	}
	r.err = err
	return n, err
}

// Close ends the download, whether it is complete or not.
func (r *Reader) Close() error {
	r.cancel()
	if r.err == nil {
		r.err = r.failed(errors.New("download is closed"))
	}
	return r.body.Close()
}

func (r *Reader) failed(err error) error {
	return &RequestError{Method: r.method, URL: r.URL(), Err: err}
}
