package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// A RequestFormatter encodes a value as the JSON of a request. It is
// used for JSON bodies, and for the members of parameters, forms and multipart fields.
type RequestFormatter func(v any) ([]byte, error)

// A ResponseFormatter decodes the result of a call from a good answer. v is a pointer to the
// type that the call returns.
type ResponseFormatter func(r *Response, v any) error

// CamelCase is the default RequestFormatter: JSON with camelCase keys. Fields of
// structs have their json name or their Go name. A tag `wire:"name"` sets the
// exact key, and nothing is rewritten below a field tagged `wire:",keep"`. A
// json.RawMessage is JSON already.
func CamelCase(v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return shapeOf(v).ToWire(nil, plain, jsonkeys.Limits{})
}

// PlainRequest is a RequestFormatter: JSON as encoded by encoding/json.
func PlainRequest(v any) ([]byte, error) { return json.Marshal(v) }

// SnakeCase is the default ResponseFormatter. It reads the body as JSON: into
// any and maps with snake_case keys and numbers as json.Number, into structs by
// matching keys in either case. A result of type *Response is the full response,
// []byte the body, json.RawMessage the JSON as sent, and None ignores the body. JSON in another charset, named by the
// content type, is converted to UTF-8. A lone surrogate such as \ud800 becomes U+FFFD, which Go has in its place.
//
// An empty body returns the zero value after a 204, a 205 or a DELETE, and is an
// error otherwise.
func SnakeCase(r *Response, v any) error {
	switch v := v.(type) {
	case **Response:
		*v = r
		return nil
	case *[]byte:
		*v = r.Body
		return nil
	case *None:
		return nil
	case *json.RawMessage:
		if r.emptyIsFine() {
			return nil
		}
		text, err := r.document()
		if err != nil {
			return err
		}
		*v = text
		return jsonkeys.Valid(text, r.limits())
	}
	if r.emptyIsFine() {
		return nil
	}
	text, err := r.document()
	if err != nil {
		return err
	}
	return decodeJSON(text, v, r.limits())
}

// PlainResponse is a ResponseFormatter: the body as decoded by encoding/json, with unchanged keys.
func PlainResponse(r *Response, v any) error {
	if r.emptyIsFine() {
		return nil
	}
	text, err := r.document()
	if err != nil {
		return err
	}
	return unmarshal(text, v)
}

// FullResponse is a ResponseFormatter for calls that return *Response.
func FullResponse(r *Response, v any) error {
	p, ok := v.(**Response)
	if !ok {
		return wrongType("FullResponse", "*rest.Response", v)
	}
	*p = r
	return nil
}

// FileResponse is a ResponseFormatter for calls that return []byte: the unchanged
// body. Download streams it instead.
func FileResponse(r *Response, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return wrongType("FileResponse", "[]byte", v)
	}
	*p = r.Body
	return nil
}

// None is the result type of a call whose body is ignored.
type None struct{}

func wrongType(formatter, want string, v any) error {
	return fmt.Errorf("%s returns a %s, but the call requests a %s", formatter, want, reflect.TypeOf(v).Elem())
}

// A Response is a whole answer with a good status, its body in memory.
type Response struct {
	// Method is the method of the call.
	Method string
	// Status is the HTTP status code, 200 to 299.
	Status int
	// Header is the answer's header.
	Header http.Header
	// Body is the answer's body, decompressed.
	Body []byte

	url     *url.URL
	maxKeys int
	items   int // of a page, once counted
}

// URL returns the URL of the answer, after redirects, without user and secret query values.
func (r *Response) URL() string { return redactURL(r.url) }

// Decode reads the body as JSON into v like SnakeCase.
func (r *Response) Decode(v any) error { return SnakeCase(r, v) }

func (r *Response) emptyIsFine() bool {
	return len(r.Body) == 0 &&
		(r.Status == http.StatusNoContent || r.Status == http.StatusResetContent || r.Method == http.MethodDelete || r.Method == http.MethodHead)
}

var bom = []byte("\xef\xbb\xbf")

func shapeOf(v any) *jsonkeys.Shape {
	if v == nil {
		return nil
	}
	return jsonkeys.ShapeOf(reflect.TypeOf(v))
}

// limits allows a document as large as the accepted body; the depth and
// the number of keys have limits of their own.
func (r *Response) limits() jsonkeys.Limits {
	return jsonkeys.Limits{MaxBytes: max(4*len(r.Body), 1), MaxKeys: r.maxKeys, LoneSurrogates: true} // in UTF-8 a byte may become four
}

// decodeJSON decodes src, the JSON of an answer, into v.
func decodeJSON(src []byte, v any, limits jsonkeys.Limits) error {
	if len(src) == 0 {
		return errors.New("the body is empty")
	}
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("cannot decode into a %v, which is not a pointer", t)
	}
	buf := scratch.Get().(*[]byte)
	defer keepScratch(buf)
	plain, err := jsonkeys.ShapeOf(t.Elem()).FromWire((*buf)[:0], src, limits)
	if err != nil {
		return err
	}
	*buf = plain
	return unmarshal(plain, v)
}

// unmarshal keeps numbers exact where the type is any. An
// encoding/json.Decoder costs more, so it is used only for types that can hold an any.
func unmarshal(src []byte, v any) error {
	if !jsonkeys.HoldsAny(reflect.TypeOf(v)) {
		return json.Unmarshal(src, v)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON document")
	}
	return nil
}
