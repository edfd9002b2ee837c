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
// such as "ru" or "de-AT, de;q=0.8". An empty language sends no such header, not
// even Config.Language.
func WithLanguage(ctx context.Context, language string) context.Context {
	return context.WithValue(ctx, languageKey{}, language)
}

// correlationID is the id to send. It often came from a request of a stranger:
// what is too long or unprintable is replaced, so that the trail does not end
// and nobody's log is forged.
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

// language is what Accept-Language says; a value that no such header may have is not sent.
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

// headerSafe tells what a header value may hold (RFC 9110 section 5.5).
func headerSafe(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
