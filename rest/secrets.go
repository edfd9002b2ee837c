package rest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// refusedLogin returns the error of a login that was answered with an error status. It contains only the status of the answer: a
// server may echo the refused credential, escaped in some way, or a token.
func refusedLogin(target *url.URL, resp *http.Response) *ResponseError {
	e := responseError(http.MethodPost, target, resp)
	e.Body, e.Truncated, e.Problem = nil, false, nil
	e.Header = http.Header{}
	if wait := resp.Header.Values("Retry-After"); e.RetryAfter > 0 {
		e.Header["Retry-After"] = wait
	}
	if u, err := url.Parse(e.Location); err == nil && e.Location != "" {
		e.Location = origin(u)
	}
	return e
}

// grantErrors are the error codes that an authorization server may answer with (RFC 6749 section 5.2). Another text
// may contain secrets.
var grantErrors = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true, "server_error": true, "temporarily_unavailable": true,
}

// withoutReply replaces an error of package oauth2 whose text contains the whole reply of the authorization server.
func withoutReply(err error, tokenURL string) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return err
	}
	e := &ResponseError{Method: http.MethodPost, Header: http.Header{}}
	if shown, err := url.Parse(tokenURL); err == nil && tokenURL != "" {
		e.URL = redactURL(shown)
	}
	if resp := refused.Response; resp != nil {
		e.Status = resp.StatusCode
		if resp.Request != nil && e.URL == "" {
			e.URL = redactURL(resp.Request.URL)
		}
	}
	if grantErrors[refused.ErrorCode] {
		e.Body = []byte(refused.ErrorCode)
	}
	return e
}

// hideEcho drops the body of an error answer that shows the credential of its own request.
func hideEcho(e *ResponseError, sent *http.Request) {
	if sent == nil || len(e.Body) == 0 {
		return
	}
	for _, secret := range credentialsOf(sent.Header.Get("Authorization")) {
		if shows(e.Body, secret) {
			e.Body, e.Problem = nil, nil
			return
		}
	}
}

// credentialsOf returns the secrets in an Authorization header.
func credentialsOf(header string) []string {
	scheme, credential, ok := strings.Cut(header, " ")
	if !ok {
		credential = header
	}
	secrets := []string{credential}
	if strings.EqualFold(scheme, "Basic") {
		if plain, err := base64.StdEncoding.DecodeString(credential); err == nil {
			_, password, _ := strings.Cut(string(plain), ":")
			secrets = append(secrets, password)
		}
	}
	return secrets
}

// shows reports whether a text contains a secret, unchanged or escaped as in JSON, HTML or a form. It ignores short
// secrets, which occur in every text.
func shows(text []byte, secret string) bool {
	if len(secret) < 4 {
		return false
	}
	plain := unescapeJSON(text)
	form, _ := url.QueryUnescape(string(text))
	for _, t := range []string{string(text), plain, html.UnescapeString(string(text)), html.UnescapeString(plain), form} {
		if strings.Contains(t, secret) {
			return true
		}
	}
	return false
}

// unescapeJSON undoes the escapes of JSON strings everywhere in a text.
func unescapeJSON(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\' || i+1 == len(text):
			b.WriteByte(text[i])
			continue
		case text[i+1] != 'u':
			i++
			b.WriteByte(text[i]) // a secret may contain only ", \ and / of these
			continue
		}
		first := escapedUnit(text[i:])
		r := first
		if pair := utf16.DecodeRune(first, escapedUnit(text[min(i+6, len(text)):])); pair != utf8.RuneError {
			r = pair
			i += 6
		}
		b.WriteRune(r)
		i += 5
	}
	return b.String()
}

// escapedUnit returns the UTF-16 unit of the escape \u0041 at the start of text, or U+FFFD.
func escapedUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
