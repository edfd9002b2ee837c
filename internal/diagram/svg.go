package diagram

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sizes in pixels. The font is monospaced, so the width of a text is known without a font.
const (
	charWidth   = 7.3 // of a label, at 12 px
	smallWidth  = 6.1 // of details and edge labels, at 10 px
	padding     = 12
	nodeHeight  = 28
	detailExtra = 14
	rowGap      = 14
	columnGap   = 56
	margin      = 12
)

// SVGOptions choose the form of an SVG.
type SVGOptions struct {
	// Inline leaves out what only a file needs: the XML namespace declaration stays, but colours come from the page (currentColor)
	// and there is no style element, which a strict content security policy would block.
	Inline bool
	// ID makes the ids of title and description unique in a page. Default: "diagram".
	ID string
}

// SVG draws the graph. Lines and texts have the current colour; a file follows the reader's light or dark colour scheme.
func (g *Graph) SVG(o *SVGOptions) string {
	if o == nil {
		o = &SVGOptions{}
	}
	p := place(g)
	id := escape(cmp.Or(o.ID, "diagram"))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="parley-diagram" role="img" aria-labelledby="%s-title %[1]s-desc" viewBox="0 0 %d %d" width="%[2]d" height="%[3]d" fill="none" stroke="currentColor" font-family="ui-monospace, monospace" font-size="12">`+"\n",
		id, p.width, p.height)
	fmt.Fprintf(&b, "<title id=\"%s-title\">%s</title>\n<desc id=\"%[1]s-desc\">%[3]s</desc>\n", id, escape(g.Title), escape(g.Description))
	if !o.Inline {
		b.WriteString("<style>.parley-diagram { color: #1b1f24; background: #ffffff } " +
			"@media (prefers-color-scheme: dark) { .parley-diagram { color: #e6edf3; background: #0d1117 } }</style>\n")
	}
	fmt.Fprintf(&b, "<defs><marker id=\"%s-arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"currentColor\" stroke=\"none\"/></marker></defs>\n", id)
	at := g.index()
	for i := range g.Edges {
		if from, to, ok := ends(at, &g.Edges[i]); ok {
			p.edge(&b, &g.Edges[i], from, to, id)
		}
	}
	for i := range g.Nodes {
		p.node(&b, &g.Nodes[i], i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// A placed is a graph with the place of each node.
type placed struct {
	boxes         []box
	width, height int
}

type box struct{ x, y, w, h int }

// place puts the nodes into columns. In each column they are ordered by the mean height of their neighbours to the left, so that few
// edges cross; nodes without neighbours keep their order.
func place(g *Graph) *placed {
	p := &placed{boxes: make([]box, len(g.Nodes))}
	columns := map[int][]int{}
	last := 0
	for i := range g.Nodes {
		n := &g.Nodes[i]
		b := &p.boxes[i]
		b.w = 2*padding + int(max(float64(utf8.RuneCountInString(n.Label))*charWidth, float64(utf8.RuneCountInString(n.Detail))*smallWidth)+0.5)
		b.h = nodeHeight
		if n.Detail != "" {
			b.h += detailExtra
		}
		columns[n.Column] = append(columns[n.Column], i)
		last = max(last, n.Column)
	}
	x := margin
	for c := 0; c <= last; c++ {
		nodes := columns[c]
		p.order(g, nodes)
		y, wide := margin, 0
		for _, i := range nodes {
			p.boxes[i].x, p.boxes[i].y = x, y
			y += p.boxes[i].h + rowGap
			wide = max(wide, p.boxes[i].w)
		}
		p.height = max(p.height, y-rowGap+margin)
		p.width = max(p.width, x+wide+margin)
		if wide > 0 {
			x += wide + columnGap + p.labels(g, c)
		}
	}
	p.center(columns)
	return p
}

// order sorts the nodes of a column by the mean position of the nodes that lead to them.
func (p *placed) order(g *Graph, nodes []int) {
	at := g.index()
	mean := map[int]float64{}
	for place, i := range nodes {
		sum, n := 0.0, 0
		for j := range g.Edges {
			from, to, ok := ends(at, &g.Edges[j])
			if ok && to == i && g.Nodes[from].Column < g.Nodes[i].Column {
				sum, n = sum+float64(p.boxes[from].y), n+1
			}
		}
		if n == 0 {
			mean[i] = float64(margin + place*(nodeHeight+rowGap))
			continue
		}
		mean[i] = sum / float64(n)
	}
	slices.SortStableFunc(nodes, func(a, b int) int { return cmp.Compare(mean[a], mean[b]) })
}

// labels returns the room for the labels of the edges that begin in a column.
func (p *placed) labels(g *Graph, column int) int {
	at, longest := g.index(), 0
	for i := range g.Edges {
		if from, _, ok := ends(at, &g.Edges[i]); ok && g.Nodes[from].Column == column {
			longest = max(longest, utf8.RuneCountInString(g.Edges[i].Label))
		}
	}
	return int(float64(longest)*smallWidth + 0.5)
}

// center moves each column to the middle of the height.
func (p *placed) center(columns map[int][]int) {
	for _, nodes := range columns {
		if len(nodes) == 0 {
			continue
		}
		low := p.boxes[nodes[len(nodes)-1]]
		shift := (p.height - margin - low.y - low.h) / 2
		for _, i := range nodes {
			p.boxes[i].y += shift
		}
	}
}

func (p *placed) edge(b *strings.Builder, e *Edge, from, to int, id string) {
	f, t := p.boxes[from], p.boxes[to]
	x1, y1, x2, y2 := f.x+f.w, f.y+f.h/2, t.x, t.y+t.h/2
	bend := max(24, (x2-x1)/2)
	dash := ""
	if e.Dashed {
		dash = ` stroke-dasharray="4 4"`
	}
	fmt.Fprintf(b, "<path d=\"M%d %d C%d %d %d %d %d %d\" marker-end=\"url(#%s-arrow)\"%s/>\n", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, id, dash)
	if e.Label != "" {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" font-size=\"10\" text-anchor=\"middle\" fill=\"currentColor\" stroke=\"none\">%s</text>\n", (x1+x2)/2, (y1+y2)/2-4, escape(e.Label))
	}
}

func (p *placed) node(b *strings.Builder, n *Node, i int) {
	at := p.boxes[i]
	radius := [...]int{0, 6, at.h / 2}[n.Shape]
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\"/>\n", at.x, at.y, at.w, at.h, radius)
	middle := at.x + at.w/2
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"currentColor\" stroke=\"none\">%s</text>\n", middle, at.y+18, escape(n.Label))
	if n.Detail != "" {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" font-size=\"10\" text-anchor=\"middle\" fill=\"currentColor\" stroke=\"none\">%s</text>\n", middle, at.y+33, escape(n.Detail))
	}
}

// escape makes a text safe for XML, as content and as the value of an attribute.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clean(text))) // a strings.Builder returns no error
	return b.String()
}
