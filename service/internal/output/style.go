package output

import (
	"io"
	"os"

	"github.com/parley-go/parley/service/internal/terminal"
)

// A Style colours texts, or leaves them unchanged.
type Style bool

// StyleOf returns the style for an output. It colours on a terminal, unless NO_COLOR is set or TERM is dumb (https://no-color.org).
func StyleOf(w io.Writer) Style {
	return Style(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal.Is(w))
}

func (s Style) with(code, text string) string {
	if !s || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold is for headers.
func (s Style) Bold(text string) string { return s.with("1", text) }

// Red is for problems and deleted lines.
func (s Style) Red(text string) string { return s.with("31", text) }

// Green is for what works and for added lines.
func (s Style) Green(text string) string { return s.with("32", text) }
