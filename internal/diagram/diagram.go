// Package diagram draws small directed graphs from left to right: as SVG by a layout of its own, and as the text of Mermaid and
// Graphviz. Equal graphs give equal bytes.
package diagram

import (
	"fmt"
	"strings"
	"unicode"
)

// A Graph is a graph in columns. Nodes of one column are drawn below each other.
type Graph struct {
	// Title and Description are read by screen readers.
	Title, Description string
	Nodes              []Node
	Edges              []Edge
}

// A Node is a box with a label, and a smaller line below it.
type Node struct {
	// ID is the name that edges use. It is never drawn.
	ID            string
	Label, Detail string
	// Column is the place from left to right, beginning with 0.
	Column int
	Shape  Shape
}

// Shape is the form of a node.
type Shape int

// The shapes.
const (
	// Box has sharp corners.
	Box Shape = iota
	// Round has round corners.
	Round
	// Pill has half circles at both ends.
	Pill
)

// An Edge is an arrow between two nodes.
type Edge struct {
	From, To string
	Label    string
	// Dashed is for connections that do not exist but should.
	Dashed bool
}

// index returns the position of each node.
func (g *Graph) index() map[string]int {
	at := map[string]int{}
	for i := range g.Nodes {
		at[g.Nodes[i].ID] = i
	}
	return at
}

// ends returns the positions of the nodes of an edge; ok is false if one does not exist.
func ends(at map[string]int, e *Edge) (from, to int, ok bool) {
	from, a := at[e.From]
	to, b := at[e.To]
	return from, to, a && b
}

// clean replaces characters that are invisible or steer a terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Mermaid returns the graph as a Mermaid flowchart, which GitHub and GitLab draw.
func (g *Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	if g.Title != "" {
		fmt.Fprintf(&b, "  accTitle: %s\n", oneLine(g.Title))
	}
	if g.Description != "" {
		fmt.Fprintf(&b, "  accDescr: %s\n", oneLine(g.Description))
	}
	open, end := [...]string{"[", "(", "(["}, [...]string{"]", ")", "])"}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		text := mermaidText(n.Label)
		if n.Detail != "" {
			text += "<br>" + mermaidText(n.Detail)
		}
		fmt.Fprintf(&b, "  n%d%s\"%s\"%s\n", i, open[n.Shape], text, end[n.Shape])
	}
	at := g.index()
	for i := range g.Edges {
		e := &g.Edges[i]
		from, to, ok := ends(at, e)
		if !ok {
			continue
		}
		arrow := "-->"
		if e.Dashed {
			arrow = "-.->"
		}
		if e.Label != "" {
			arrow += `|"` + mermaidText(e.Label) + `"|`
		}
		fmt.Fprintf(&b, "  n%d %s n%d\n", from, arrow, to)
	}
	return b.String()
}

// mermaidText escapes what Mermaid reads as markup: its entities begin with #.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range clean(text) {
		if strings.ContainsRune("#\"<>&`\\", r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// oneLine returns a text for the accessible title, which ends at a semicolon or a line end.
func oneLine(text string) string {
	return strings.NewReplacer(";", ",", "#", "no. ").Replace(clean(text))
}

// DOT returns the graph in the language of Graphviz.
func (g *Graph) DOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph {\n  graph [rankdir=LR, label=%s, tooltip=%s];\n  node [fontname=\"monospace\"];\n  edge [fontname=\"monospace\"];\n",
		dotText(g.Title), dotText(g.Description))
	shapes := [...]string{"shape=box", "shape=box, style=rounded", "shape=ellipse"}
	columns := map[int][]string{}
	last := 0
	for i := range g.Nodes {
		n := &g.Nodes[i]
		label := dotText(n.Label)
		if n.Detail != "" {
			label = dotText(n.Label + "\n" + n.Detail)
		}
		fmt.Fprintf(&b, "  n%d [label=%s, %s];\n", i, label, shapes[n.Shape])
		columns[n.Column] = append(columns[n.Column], fmt.Sprintf("n%d", i))
		last = max(last, n.Column)
	}
	for c := 0; c <= last; c++ {
		if len(columns[c]) > 0 {
			fmt.Fprintf(&b, "  {rank=same; %s}\n", strings.Join(columns[c], "; "))
		}
	}
	at := g.index()
	for i := range g.Edges {
		e := &g.Edges[i]
		from, to, ok := ends(at, e)
		if !ok {
			continue
		}
		style := ""
		if e.Dashed {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  n%d -> n%d [label=%s%s];\n", from, to, dotText(e.Label), style)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText returns a quoted text. A line end in text becomes one in the label.
func dotText(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(lines[i]))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
