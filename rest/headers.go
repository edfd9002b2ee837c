package rest

import (
	"context"
	"crypto/rand"
	"strings"
)

type (
	correlationKey struct{}
	languageKey    struct{}
)

// WithCorrelationID makes calls under the context send id as the header
// Config.CorrelationHeader.
func WithCorrelationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}

// WithLanguage makes calls under the context send Accept-Language: language,
// such as "ru" or "de-AT, de;q=0.8". With an empty language no such header is sent, not
// even Config.Language.
func WithLanguage(ctx context.Context, language string) context.Context {
	return context.WithValue(ctx, languageKey{}, language)
}

// correlationID returns the id to send. It often comes from an untrusted request. An id that is too
// long or unprintable is replaced, so that the correlation continues and no log can be forged.
func (c *Client) correlationID(ctx context.Context) string {
	id, _ := ctx.Value(correlationKey{}).(string)
	if id == "" && c.cfg.CorrelationID != nil {
		id = c.cfg.CorrelationID(ctx)
	}
	if id == "" || len(id) <= 128 && printable(id) {
		return id
	}
	if c.cfg.Hooks.BadCorrelationID != nil {
		c.cfg.Hooks.BadCorrelationID(ctx, len(id))
	}
	return rand.Text()
}

// language returns the value of Accept-Language; an invalid value is not sent.
func (c *Client) language(ctx context.Context) string {
	language, ok := ctx.Value(languageKey{}).(string)
	if !ok {
		language = c.cfg.Language
	}
	if len(language) > 128 || strings.IndexFunc(language, notInLanguage) >= 0 {
		return ""
	}
	return language
}

func notInLanguage(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_,;=.* ", r))
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// headerSafe reports whether s may be a header value (RFC 9110 section 5.5).
func headerSafe(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
