package output

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/parley-go/parley/service/internal/terminal"
)

// A Column is a column of a list.
type Column struct {
	Name string
	// Wide columns are printed by -o wide only.
	Wide bool
}

// page is the number of rows whose columns are aligned with each other. There may be more rows than fit into memory.
const page = 500

// A List prints rows in the format of its Options: JSON as one object per line, YAML as one list.
type List struct {
	w       io.Writer
	format  string
	columns []Column
	widths  []int
	rows    [][]string
	added   int
	none    string
}

// List returns a list that writes to w.
func (o *Options) List(w io.Writer, columns ...Column) *List {
	l := &List{w: w, format: o.Format()}
	for _, c := range columns {
		if c.Wide && l.format == Table {
			c.Name = ""
		}
		l.columns = append(l.columns, c)
	}
	return l
}

// WhenEmpty sets a line that a table without rows consists of, such as "no messages found". Default: nothing is printed.
func (l *List) WhenEmpty(line string) *List {
	l.none = line
	return l
}

// Columns returns columns with these names. Those after a "|" are wide.
func Columns(names ...string) (out []Column) {
	wide := false
	for _, name := range names {
		if name == "|" {
			wide = true
			continue
		}
		out = append(out, Column{name, wide})
	}
	return out
}

// Add adds a row: the value for JSON and YAML, and a cell for each column. Cells are made safe for a terminal.
func (l *List) Add(value any, cells ...string) error {
	l.added++
	switch l.format {
	case JSON:
		return terminal.WriteJSON(l.w, value)
	case YAML:
		return writeYAML(l.w, value, true)
	}
	if len(l.rows) == page {
		if err := l.flush(); err != nil {
			return err
		}
	}
	row := []string{}
	for i, c := range l.columns {
		if c.Name != "" {
			row = append(row, terminal.Printable(cells[i]))
		}
	}
	l.rows = append(l.rows, row)
	return nil
}

// Close prints the rows that are left. An empty list is the line of WhenEmpty in a table, [] in YAML, and nothing in JSON.
func (l *List) Close() error {
	none := ""
	switch {
	case l.added > 0:
		return l.flush()
	case l.format == YAML:
		none = "[]"
	case l.format != JSON:
		none = l.none
	}
	if none == "" {
		return nil
	}
	_, err := io.WriteString(l.w, none+"\n")
	return err
}

func (l *List) flush() error {
	rows := l.rows
	l.rows = nil
	if len(rows) == 0 {
		return nil
	}
	var names []string
	if l.widths == nil {
		for _, c := range l.columns {
			if c.Name != "" {
				names = append(names, c.Name)
			}
		}
		l.widths = make([]int, len(names))
		l.widen(names)
	}
	for _, row := range rows {
		l.widen(row)
	}
	var b strings.Builder
	if names != nil {
		b.WriteString(StyleOf(l.w).Bold(l.line(names)) + "\n")
	}
	for _, row := range rows {
		b.WriteString(l.line(row) + "\n")
	}
	_, err := io.WriteString(l.w, b.String())
	return err
}

func (l *List) widen(row []string) {
	for i, cell := range row {
		l.widths[i] = max(l.widths[i], utf8.RuneCountInString(cell))
	}
}

// line returns a row with aligned cells, without spaces at its end.
func (l *List) line(row []string) string {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(cell)
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", l.widths[i]-utf8.RuneCountInString(cell)+2))
		}
	}
	return strings.TrimRight(b.String(), " ")
}
