package settings

import (
	"fmt"
	"strings"

	"github.com/parley-go/parley/service/internal/spelling"
)

// A Mistake is one mistake in the settings.
type Mistake struct {
	// Key is the setting, such as broker.port.
	Key string
	// Source is the source of the value: "parley.yaml: broker.port", "environment variable PARLEY_BROKER_PORT" or
	// "flag --broker-port". It is empty for a setting that is not set.
	Source string
	// Problem describes the mistake. Hint says how to fix it, and may be empty.
	Problem, Hint string
}

func (m Mistake) String() string {
	where := m.Source
	if where == "" {
		where = m.Key
	}
	s := m.Problem
	if where != "" {
		s = where + ": " + s
	}
	if m.Hint != "" {
		s += " (" + m.Hint + ")"
	}
	return s
}

// An Error lists every mistake in the settings.
type Error struct{ Mistakes []Mistake }

func (e *Error) Error() string {
	if len(e.Mistakes) == 1 {
		return "settings: " + e.Mistakes[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "settings: %d mistakes:", len(e.Mistakes))
	for _, m := range e.Mistakes {
		b.WriteString("\n  " + m.String())
	}
	return b.String()
}

// didYouMean returns the hint for an unknown name.
func didYouMean(name string, candidates []string) string {
	if n := spelling.Nearest(name, candidates); n != "" {
		return "did you mean " + n + "?"
	}
	return "run `settings schema` to list all settings"
}
