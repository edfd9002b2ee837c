package settings

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// shortest is the shortest secret that Redact searches for: a shorter one occurs in any text. "guest", the default password of
// RabbitMQ, is not a secret.
const shortest = 4

// Redact returns err with the secrets of the settings, and those in more, replaced. Errors of drivers may contain them. [errors.Is] and
// [errors.As] find what err wraps. [errors.Unwrap] returns nil, so that the secrets are not printed by accident.
//
// A secret that is an ordinary word, such as "parley", is replaced only where it is written as a password: in a URL, in quotes, or after
// "password" and the like. Elsewhere it is a word of the text.
func (s *Settings) Redact(err error, more ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	secrets := append(s.secrets(), more...)
	slices.SortStableFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // one may be a part of another
	for _, secret := range secrets {
		if len(secret) >= shortest && secret != "guest" {
			text = hide(text, secret)
		}
	}
	if text == err.Error() {
		return err
	}
	return &redactedError{text, err}
}

// A redactedError is an error whose text is redacted.
type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }

// GoString hides the cause from the verb %#v.
func (e *redactedError) GoString() string { return e.text }

// Is implements the interface of errors.Is.
func (e *redactedError) Is(target error) bool { return errors.Is(e.cause, target) }

// As implements the interface of errors.As.
func (e *redactedError) As(target any) bool { return errors.As(e.cause, target) }

// word matches secrets that can be an ordinary word of a text. Longer runs of letters are generated passwords.
var word = regexp.MustCompile(`^([a-z]{1,12}|[A-Z][a-z]{1,11}|[A-Z]{1,12})$`)

// hide replaces a secret in a text.
func hide(text, secret string) string {
	if !word.MatchString(secret) {
		return strings.ReplaceAll(text, secret, hidden)
	}
	var out strings.Builder
	for done := 0; ; {
		i := strings.Index(text[done:], secret)
		if i < 0 {
			out.WriteString(text[done:])
			return out.String()
		}
		from, to := done+i, done+i+len(secret)
		out.WriteString(text[done:from])
		if asPassword(text[:from], text[to:]) {
			out.WriteString(hidden)
		} else {
			out.WriteString(secret)
		}
		done = to
	}
}

// named matches a text that ends where a password begins, such as `password: ` or `"pwd":"`.
var named = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|pwd|secret|token|key|credentials?)["'\x60\\]*( is|\s*[:=])?\s*["'\x60\\]*$`)

// asPassword reports whether a word is written as a password between these two texts.
func asPassword(before, after string) bool {
	switch {
	case before == "" && after == "":
		return true
	case strings.HasSuffix(before, ":"), strings.HasSuffix(before, "="): // user:password, pwd=password
		return true
	case strings.HasPrefix(after, "@"): // password@host
		return true
	case named.MatchString(before):
		return true
	}
	open, end := strings.TrimSuffix(before, `\`), strings.TrimPrefix(after, `\`)
	return open != "" && end != "" && open[len(open)-1] == end[0] && strings.ContainsRune("\"'`", rune(end[0]))
}
