package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// A Body is a request body that is not JSON; see Form, Raw, Stream and Multipart.
type Body interface {
	payload(format RequestFormatter) (*payload, error)
}

// A payload is an encoded body: data, which can be sent again, or reader, which cannot.
type payload struct {
	contentType string
	data        []byte
	reader      io.Reader
	size        int64 // of reader; -1 if unknown
}

// Form is a body of type application/x-www-form-urlencoded. v is a struct or a
// map, whose names follow the RequestFormatter, or url.Values, which are sent unchanged.
func Form(v any) Body { return formBody{v} }

type formBody struct{ v any }

func (b formBody) payload(format RequestFormatter) (*payload, error) {
	query, err := encodeQuery(b.v, format)
	if err != nil {
		return nil, fmt.Errorf("encode form: %w", err)
	}
	return &payload{contentType: "application/x-www-form-urlencoded", data: []byte(query)}, nil
}

// Raw is a body that is sent unchanged. An empty contentType sends no such header.
func Raw(contentType string, data []byte) Body { return rawBody{contentType, data} }

type rawBody struct {
	contentType string
	data        []byte
}

func (b rawBody) payload(RequestFormatter) (*payload, error) {
	return &payload{contentType: b.contentType, data: b.data}, nil
}

// Stream is a body that is read from r while it is sent. size is its length in bytes,
// or -1 if unknown. A call with a Stream is never repeated, neither after an error
// nor after a 401, because r can be read only once.
func Stream(contentType string, r io.Reader, size int64) Body {
	return streamBody{contentType, r, size}
}

type streamBody struct {
	contentType string
	r           io.Reader
	size        int64
}

func (b streamBody) payload(RequestFormatter) (*payload, error) {
	if b.r == nil {
		return nil, errors.New("stream has no reader")
	}
	return &payload{contentType: b.contentType, reader: b.r, size: b.size}, nil
}

// A File is one file of a Multipart body.
type File struct {
	// Field is the name of the form field, sent unchanged; Name is the file's name.
	Field, Name string
	// ContentType is the file's type. Default: application/octet-stream.
	ContentType string
	// Data is the content. If it is nil, the content is read from Reader while it is
	// sent, and Size is its length in bytes, or -1 if unknown. A call with a Reader is never repeated.
	Data   []byte
	Reader io.Reader
	Size   int64
}

// Multipart is a body of type multipart/form-data: an upload. fields is nil, or a
// struct or map as for Form.
func Multipart(fields any, files ...File) Body { return multipartBody{fields, files} }

type multipartBody struct {
	fields any
	files  []File
}

func (b multipartBody) payload(format RequestFormatter) (*payload, error) {
	var pairs []pair
	var err error
	if b.fields != nil {
		if pairs, err = queryPairs(b.fields, format); err != nil {
			return nil, fmt.Errorf("encode multipart fields: %w", err)
		}
	}
	w := newMultipartWriter()
	for _, p := range pairs {
		if err := w.form.WriteField(p.name, p.value); err != nil {
			return nil, err
		}
	}
	for _, f := range b.files {
		if err := w.file(f); err != nil {
			return nil, err
		}
	}
	return w.finish()
}

// A multipartWriter collects the parts between the files, so that files are
// neither copied into memory nor copied by a goroutine.
type multipartWriter struct {
	form  *multipart.Writer
	text  *bytes.Buffer
	parts []io.Reader
	size  int64 // of parts; -1 once one is unknown
}

func newMultipartWriter() *multipartWriter {
	w := &multipartWriter{text: new(bytes.Buffer)}
	w.form = multipart.NewWriter(w.text)
	return w
}

func (w *multipartWriter) file(f File) error {
	if strings.ContainsAny(f.Field+f.Name+f.ContentType, "\r\n\x00") {
		return errors.New("a file's field, name or content type holds a line break")
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipart.FileContentDisposition(f.Field, f.Name))
	h.Set("Content-Type", or(f.ContentType, "application/octet-stream"))
	part, err := w.form.CreatePart(h)
	if err != nil {
		return err
	}
	if f.Data != nil || f.Reader == nil {
		_, err = part.Write(f.Data)
		return err
	}
	w.cut()
	w.parts = append(w.parts, f.Reader)
	if f.Size < 0 || w.size < 0 {
		w.size = -1
	} else {
		w.size += f.Size
	}
	return nil
}

// cut moves the current text to the parts.
func (w *multipartWriter) cut() {
	text := bytes.Clone(w.text.Bytes())
	w.text.Reset()
	w.parts = append(w.parts, bytes.NewReader(text))
	if w.size >= 0 {
		w.size += int64(len(text))
	}
}

func (w *multipartWriter) finish() (*payload, error) {
	if err := w.form.Close(); err != nil {
		return nil, err
	}
	p := &payload{contentType: w.form.FormDataContentType()}
	if len(w.parts) == 0 {
		p.data = w.text.Bytes()
		return p, nil
	}
	w.cut()
	p.reader, p.size = io.MultiReader(w.parts...), w.size
	return p, nil
}

// encodeBody encodes any body: nil, a Body, or a value for JSON.
func encodeBody(v any, format RequestFormatter) (*payload, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case Body:
		return v.payload(format)
	case io.Reader, []byte:
		// Its JSON would be wrong, and its content type is unknown.
		return nil, fmt.Errorf("body is a %T (use rest.Raw or rest.Stream)", v)
	}
	data, err := format(v)
	if err != nil {
		return nil, fmt.Errorf("encode body: %w", err)
	}
	return &payload{contentType: "application/json", data: data}, nil
}

// attach sets the body of r.
func (p *payload) attach(r *http.Request) {
	if p.contentType != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", p.contentType)
	}
	if p.reader != nil {
		// Not closed by the transport: the reader is the caller's.
		r.Body, r.ContentLength = io.NopCloser(p.reader), p.size
		return
	}
	if len(p.data) == 0 {
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
		return
	}
	data := p.data
	r.ContentLength = int64(len(data))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	r.Body, _ = r.GetBody()
}

type pair struct{ name, value string }

// encodeQuery returns v as a query string: a string and url.Values are used
// unchanged, structs and maps are encoded with format.
func encodeQuery(v any, format RequestFormatter) (string, error) {
	switch v := v.(type) {
	case string:
		return escapeUnsafe(strings.TrimPrefix(v, "?")), nil
	case url.Values:
		return v.Encode(), nil
	}
	pairs, err := queryPairs(v, format)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range pairs {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.name) + "=" + url.QueryEscape(p.value))
	}
	return b.String(), nil
}

// queryPairs flattens the members of v: null is omitted, a list repeats the
// name, booleans are True and False as in the Python library. A nested
// object is refused: the Python library sent its keys instead of its values.
func queryPairs(v any, format RequestFormatter) ([]pair, error) {
	if values, ok := v.(url.Values); ok {
		var pairs []pair
		for _, name := range slices.Sorted(maps.Keys(values)) {
			for _, value := range values[name] {
				pairs = append(pairs, pair{name, value})
			}
		}
		return pairs, nil
	}
	doc, err := format(v)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	err = jsonkeys.Members(doc, jsonkeys.Limits{}, func(name string, raw []byte) error {
		list := []json.RawMessage{raw}
		if raw[0] == '[' {
			list = nil
			if err := json.Unmarshal(raw, &list); err != nil {
				return err
			}
		}
		for _, item := range list {
			text, skip, err := queryText(item)
			if err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
			if !skip {
				pairs = append(pairs, pair{name, text})
			}
		}
		return nil
	})
	if err != nil {
		if t := reflect.TypeOf(v); len(doc) > 0 && doc[0] != '{' {
			return nil, fmt.Errorf("%v has no names (use a struct or a map)", t)
		}
		return nil, err
	}
	return pairs, nil
}

func queryText(raw []byte) (text string, skip bool, err error) {
	switch raw[0] {
	case 'n':
		return "", true, nil
	case 't':
		return "True", false, nil
	case 'f':
		return "False", false, nil
	case '"':
		err = json.Unmarshal(raw, &text)
		return text, false, err
	case '{', '[':
		return "", false, errors.New("nested values cannot be a parameter")
	}
	return string(raw), false, nil
}
