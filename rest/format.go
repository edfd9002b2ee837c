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

// A RequestFormatter makes the JSON that goes on the wire from a value. It is
// used for JSON bodies, and for the members of parameters, forms and multipart fields.
type RequestFormatter func(v any) ([]byte, error)

// A ResponseFormatter makes the result of a call from a good answer: it sets
// what v, a pointer to the type that the call returns, points to.
type ResponseFormatter func(r *Response, v any) error

// CamelCase is the default RequestFormatter: JSON with camelCase keys. Fields of
// structs go by their json name or their Go name, a tag `wire:"name"` gives the
// exact key, and below a field tagged `wire:",keep"` nothing is rewritten. A
// json.RawMessage is JSON already.
func CamelCase(v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return shapeOf(v).ToWire(nil, plain, jsonkeys.Limits{})
}

// PlainRequest is a RequestFormatter: JSON as encoding/json makes it.
func PlainRequest(v any) ([]byte, error) { return json.Marshal(v) }

// SnakeCase is the default ResponseFormatter. It reads the body as JSON: into
// any and maps with snake_case keys and numbers as json.Number, into structs by
// matching keys in either case. A result of type *Response is the full response,
// []byte the body, json.RawMessage the JSON as sent, and None ignores the body.
//
// An empty body gives the zero value after a 204, a 205 or a DELETE, and is an
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
		*v = bytes.TrimPrefix(r.Body, bom)
		return jsonkeys.Valid(r.Body, r.limits())
	}
	if r.emptyIsFine() {
		return nil
	}
	return decodeJSON(r.Body, v, r.limits())
}

// PlainResponse is a ResponseFormatter: the body as encoding/json reads it, keys as sent.
func PlainResponse(r *Response, v any) error {
	if r.emptyIsFine() {
		return nil
	}
	return unmarshal(bytes.TrimPrefix(r.Body, bom), v)
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

// FileResponse is a ResponseFormatter for calls that return []byte: the body as
// sent. Download streams it instead.
func FileResponse(r *Response, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return wrongType("FileResponse", "[]byte", v)
	}
	*p = r.Body
	return nil
}

// None is the result of a call whose body does not matter.
type None struct{}

func wrongType(formatter, want string, v any) error {
	return fmt.Errorf("%s makes a %s, and the call asks for a %s", formatter, want, reflect.TypeOf(v).Elem())
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

// URL is where the answer came from, after redirects, without user and secret query values.
func (r *Response) URL() string { return redactURL(r.url) }

// Decode reads the body as JSON into v as SnakeCase does.
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

// limits allow a document as large as the body that was let in; the depth and
// the number of keys have limits of their own.
func (r *Response) limits() jsonkeys.Limits {
	return jsonkeys.Limits{MaxBytes: max(len(r.Body), 1), MaxKeys: r.maxKeys}
}

// decodeJSON reads src from the wire into v.
func decodeJSON(src []byte, v any, limits jsonkeys.Limits) error {
	if len(src) == 0 {
		return errors.New("the body is empty")
	}
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("cannot decode into a %v, which is no pointer", t)
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

// unmarshal keeps numbers exact where the type leaves it open. An
// encoding/json.Decoder costs more, so only what can hold an any pays for it.
func unmarshal(src []byte, v any) error {
	if !holdsAny(reflect.TypeOf(v)) {
		return json.Unmarshal(src, v)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more follows after the JSON document")
	}
	return nil
}
