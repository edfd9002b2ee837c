package rest

import (
	"bytes"
	"fmt"
	"mime"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// utf8Text returns body, whose header says contentType, in UTF-8. JSON is UTF-8 (RFC 8259, section 8.1), but some servers
// send it in the charset that they name. A charset that is not known counts as UTF-8.
func utf8Text(body []byte, contentType string) ([]byte, error) {
	enc := charsetOf(contentType)
	if enc == nil {
		return body, nil
	}
	text, err := enc.NewDecoder().Bytes(body)
	if err != nil {
		return nil, fmt.Errorf("body is not in the charset of its content type: %w", err)
	}
	return text, nil
}

// charsetOf returns the encoding that the content type names; nil means UTF-8.
func charsetOf(contentType string) encoding.Encoding {
	if !strings.Contains(contentType, "=") {
		return nil // most answers
	}
	_, params, err := mime.ParseMediaType(contentType)
	name := strings.ToLower(strings.TrimSpace(params["charset"]))
	if err != nil || name == "" || name == "utf-8" || name == "utf8" || name == "us-ascii" || name == "ascii" {
		return nil
	}
	switch strings.NewReplacer("-", "", "_", "").Replace(name) {
	case "latin1", "iso88591", "l1": // not windows-1252, which HTML takes it for
		return charmap.ISO8859_1
	}
	if enc, err := ianaindex.IANA.Encoding(name); err == nil && enc != nil {
		return enc
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	return nil
}

// document returns the body as JSON text in UTF-8, without a byte order mark.
func (r *Response) document() ([]byte, error) {
	text, err := utf8Text(r.Body, r.Header.Get("Content-Type"))
	return bytes.TrimPrefix(text, bom), err
}
