package service

import (
	"fmt"
	"strings"
)

// A Mistake is one thing wrong with the settings.
type Mistake struct {
	// Key is the setting, such as broker.port.
	Key string
	// Source says where its value came from: "parley.yaml: broker.port",
	// "environment variable PARLEY_BROKER_PORT", "flag --broker-port"; empty if it came from nowhere.
	Source string
	// Problem says what is wrong, and Mend what to do about it.
	Problem, Mend string
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
	if m.Mend != "" {
		s += " (" + m.Mend + ")"
	}
	return s
}

// A SettingsError reports every mistake in the settings at once.
type SettingsError struct{ Mistakes []Mistake }

func (e *SettingsError) Error() string {
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

// nearest returns the candidate that name was most likely meant to be, or "".
func nearest(name string, candidates []string) string {
	best, least := "", max(2, len(name)/4)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the single-byte edits, swaps of neighbours among them, between a and b
// (optimal string alignment).
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// didYouMean is the mend for an unknown name.
func didYouMean(name string, candidates []string) string {
	if n := nearest(name, candidates); n != "" {
		return "did you mean " + n + "?"
	}
	return "`settings schema` lists all settings"
}
