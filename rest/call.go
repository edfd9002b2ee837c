package rest

import (
	"context"
	"net/http"
)

// Get requests path and returns the body of the answer as a T. T is a struct, a map or a
// slice; any for an untyped result with snake_case keys; *Response for the full
// response; []byte for the raw body; or None to ignore the body.
//
// The error is a *RequestError if there was no usable answer, a *ResponseError for a status outside
// 200 to 299, or a *DecodeError for a body that is not a T. Use errors.Is with the Err variables of
// this package for finer distinctions.
func Get[T any](ctx context.Context, c *Client, path string, opts ...Option) (T, error) {
	return Do[T](ctx, c, http.MethodGet, path, opts...)
}

// Post sends body, which is a value for JSON, a Body, or nil for none, and returns like
// Get. It is never sent twice, unless the server received nothing of it or an IdempotencyKey
// allows it.
func Post[T any](ctx context.Context, c *Client, path string, body any, opts ...Option) (T, error) {
	return doBody[T](ctx, c, http.MethodPost, path, body, opts)
}

// Put sends body like Post. As its method is idempotent, it may be repeated
// after an error.
func Put[T any](ctx context.Context, c *Client, path string, body any, opts ...Option) (T, error) {
	return doBody[T](ctx, c, http.MethodPut, path, body, opts)
}

// Patch sends body and is repeated under the same conditions as Post.
func Patch[T any](ctx context.Context, c *Client, path string, body any, opts ...Option) (T, error) {
	return doBody[T](ctx, c, http.MethodPatch, path, body, opts)
}

// Delete returns like Get. An empty answer returns the zero T and no error.
func Delete[T any](ctx context.Context, c *Client, path string, opts ...Option) (T, error) {
	return Do[T](ctx, c, http.MethodDelete, path, opts...)
}

// Head returns the full response, which has no body.
func Head(ctx context.Context, c *Client, path string, opts ...Option) (*Response, error) {
	return c.exchange(ctx, http.MethodHead, path, c.newCall(opts))
}

// Do calls path with any method and returns like Get; the option JSON sets a body.
func Do[T any](ctx context.Context, c *Client, method, path string, opts ...Option) (T, error) {
	return result[T](ctx, c, method, path, c.newCall(opts))
}

func doBody[T any](ctx context.Context, c *Client, method, path string, body any, opts []Option) (T, error) {
	cl := c.newCall(opts)
	if body != nil {
		cl.body = body
	}
	return result[T](ctx, c, method, path, cl)
}

func result[T any](ctx context.Context, c *Client, method, path string, cl *call) (T, error) {
	var zero, v T
	r, err := c.exchange(ctx, method, path, cl)
	if err != nil {
		return zero, err
	}
	if err := cl.response(r, &v); err != nil {
		return zero, r.undecodable(err)
	}
	return v, nil
}

func (r *Response) undecodable(err error) error {
	return &DecodeError{Method: r.Method, URL: r.URL(), Status: r.Status, ContentType: r.Header.Get("Content-Type"), Err: err}
}

// newCall applies the options to the client's defaults.
func (c *Client) newCall(opts []Option) *call {
	cl := &call{
		timeout: c.cfg.Timeout, maxBytes: c.cfg.MaxBytes,
		request: c.cfg.RequestFormatter, response: c.cfg.ResponseFormatter,
	}
	for _, o := range opts {
		o(cl)
	}
	return cl
}

// exchange sends a call and reads its answer, which must have a good status.
func (c *Client) exchange(ctx context.Context, method, path string, cl *call) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, cl)
	if err != nil {
		return nil, err
	}
	body, err := readBody(resp, cl.maxBytes)
	u := resp.Request.URL
	if err != nil {
		return nil, &RequestError{Method: method, URL: redactURL(u), Err: err}
	}
	return &Response{Method: method, Status: resp.StatusCode, Header: resp.Header, Body: body, url: u, maxKeys: c.cfg.MaxKeys}, nil
}

// send returns the answer with an unread body if its status is good.
func (c *Client) send(ctx context.Context, method, path string, cl *call) (*http.Response, error) {
	r, err := c.newRequest(ctx, method, path, cl)
	if err != nil {
		return nil, &RequestError{Method: method, URL: c.shownURL(path, cl), Err: err}
	}
	resp, err := c.roundTrip(r)
	if err != nil {
		return nil, &RequestError{Method: method, URL: redactURL(r.URL), Err: bareURLError(err)}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, responseError(method, resp.Request.URL, resp)
	}
	return resp, nil
}
