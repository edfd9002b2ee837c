package rest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Path joins a prefix and path segments that come from data: each segment is
// escaped, so that an id with "/", "?" or ".." stays one segment.
//
//	rest.Path("api/v1/subjects", id) // id "a/b" -> "api/v1/subjects/a%2Fb"
//
// An empty segment is kept and refused by the call: it would change the
// resource that the path names. So are "." and "..", which cannot be escaped.
func Path(prefix string, segments ...any) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(prefix, "/"))
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(fmt.Sprint(s)))
	}
	return b.String()
}

// parseHost parses a configured host: "http://api.example.com",
// "https://api.example.com:8443/base/". It refuses texts whose URL would not be
// exactly host plus path.
func parseHost(host string) (*url.URL, error) {
	if host == "" {
		return nil, errors.New("is empty (set scheme and host, such as http://api.example.com)")
	}
	if i := strings.IndexFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }); i >= 0 {
		return nil, errors.New("contains a space, a backslash or a control character")
	}
	u, err := url.Parse(host)
	if err != nil && strings.Contains(host, "@") { // the cause may quote a part of a password
		return nil, errors.New("is not a URL, and contains a user (use Username and Password, or Credential)")
	}
	if err != nil {
		return nil, fmt.Errorf("is not a URL: %w", bareURLError(err))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must start with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	case u.User != nil:
		return nil, errors.New("contains a user (use Username and Password, or Credential)")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("must not have a query or a fragment")
	}
	escaped := strings.TrimRight(u.EscapedPath(), "/")
	if err := checkSegments(escaped); err != nil {
		return nil, err
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), escaped
	return u, nil
}

// origin returns scheme, host and port, to which a token is bound. Two URLs of one
// origin have the same text.
func origin(u *url.URL) string {
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "" && u.Scheme == "https":
		port = "443"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// joinURL appends path to base, a host parsed by parseHost. A query in path is
// kept, a fragment dropped, both as the Python library does.
func joinURL(base *url.URL, path string) (*url.URL, error) {
	if i := strings.IndexFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }); i >= 0 {
		return nil, errors.New("contains a backslash or a control character")
	}
	path, _, _ = strings.Cut(path, "#")
	path, query, _ := strings.Cut(path, "?")
	switch {
	case strings.HasPrefix(path, "@"):
		return nil, errors.New("starts with @, which would name another host")
	case hasScheme(path):
		return nil, errors.New("is an absolute URL (pass the path, and the host with rest.Host)")
	}
	onlySlash := path == "/"
	path = strings.TrimPrefix(path, "/")
	if strings.HasPrefix(path, "/") {
		return nil, errEmptySegment
	}
	if err := checkSegments(path); err != nil {
		return nil, err
	}
	escaped := escapeUnsafe(path)
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, err
	}
	u := *base
	if path != "" || onlySlash || u.Path == "" {
		same := escaped == plain && u.RawPath == u.Path
		u.Path += "/" + plain
		if same {
			u.RawPath = u.Path
		} else {
			u.RawPath += "/" + escaped
		}
	}
	if u.RawPath == u.Path {
		u.RawPath = "" // as in net/url
	}
	u.RawQuery = escapeUnsafe(query)
	return &u, nil
}

// checkSegments refuses empty segments (except a trailing slash) and dot
// segments, also in escaped form: a server that cleans its paths would answer
// for another resource.
func checkSegments(escaped string) error {
	if strings.Contains(escaped, "//") {
		return errEmptySegment
	}
	if !strings.Contains(escaped, ".") && !strings.Contains(escaped, "%") {
		return nil
	}
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return err
	}
	for segment := range strings.FieldsFuncSeq(plain, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return fmt.Errorf("has a %q segment", segment)
		}
	}
	return nil
}

var errEmptySegment = errors.New("has an empty segment (//): an id may be missing")

// hasScheme distinguishes "http://x" and "HTTPS:/x" from a path with a colon in a later segment.
func hasScheme(path string) bool {
	scheme, rest, ok := strings.Cut(path, ":")
	if !ok || scheme == "" || !strings.HasPrefix(rest, "/") {
		return false
	}
	return strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// escapeUnsafe percent-encodes characters that are invalid in a URL and keeps all others,
// including existing escapes.
func escapeUnsafe(s string) string {
	const hex = "0123456789ABCDEF"
	unsafe := func(c byte) bool { return c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0 }
	n := 0
	for i := range len(s) {
		if unsafe(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; unsafe(c) {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// secretWords mark query parameters whose values must not appear in an error, a log or a hook.
var secretWords = []string{"token", "secret", "passw", "pwd", "key", "auth", "signature", "credential", "session", "jwt"}

// redactURL returns u as text without user, fragment and secret query values.
func redactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	c := *u
	c.User, c.Fragment, c.RawFragment = nil, "", ""
	if c.RawQuery != "" {
		c.RawQuery = redactQuery(c.RawQuery)
	}
	return c.String()
}

func redactQuery(raw string) string {
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		name, _, ok := strings.Cut(part, "=")
		if ok && isSecretName(name) {
			parts[i] = name + "=REDACTED"
		}
	}
	return strings.Join(parts, "&")
}

// isSecretName decodes the name first: "%74oken" is "token" to the server.
func isSecretName(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	name = strings.ToLower(name)
	if name == "code" || name == "sig" || strings.HasSuffix(name, "-sig") || strings.HasSuffix(name, "_sig") {
		return true
	}
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// bareURLError removes the URL that net/url and net/http put into their errors:
// it may contain secrets, and the errors of this package name the URL themselves.
func bareURLError(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
