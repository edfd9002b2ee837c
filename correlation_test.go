package parley

import (
	"strings"
	"testing"
)

func TestOnlyACorrelationIDThatCanTravelIsCarried(t *testing.T) {
	for id, carried := range map[string]bool{
		"request-1":              true,
		"with space ~":           true,
		strings.Repeat("x", 128): true,
		strings.Repeat("x", 129): false,
		"":                       false,
		"line\nfeed":             false,
		"\x7f":                   false,
		"é":                      false,
	} {
		got := CorrelationID(WithCorrelationID(WithCorrelationID(t.Context(), "outer"), id))
		if want := map[bool]string{true: id, false: "outer"}[carried]; got != want {
			t.Errorf("WithCorrelationID(%q): the context carries %q, want %q", id, got, want)
		}
	}
	if got := CorrelationID(t.Context()); got != "" {
		t.Errorf("a context without an id carries %q", got)
	}
}
