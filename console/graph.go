package console

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/parley-go/parley"
)

// A graph is the way of messages from exchanges through queues to handlers, as boxes and curves of an SVG.
type graph struct {
	Width, Height int
	Boxes         []box
	Curves        []curve
	Cut           bool // there are more parts than a graph can show
}

type box struct {
	X, Y, W, H  int
	Class       string
	Label, Note string
	TextX       int
	LabelY      int
	NoteY       int
}

type curve struct {
	Path, Class, Label string
	X, Y               int
}

const (
	boxWidth, boxHeight = 210, 40
	columnGap, rowGap   = 130, 14
	// graphLimit is the most boxes of a column.
	graphLimit = 60
)

// layout places exchanges, queues and handlers in three columns. Each column is sorted by the mean place of its neighbours to the left,
// so that few curves cross.
func layout(t *Topology) *graph {
	g := &graph{Width: 3*boxWidth + 2*columnGap + 4}
	var exchanges []string
	for _, b := range t.Bindings {
		if !slices.Contains(exchanges, b.Exchange) {
			exchanges = append(exchanges, b.Exchange)
		}
	}
	queues := slices.Clone(t.Queues)
	queues = slices.DeleteFunc(queues, func(q QueueStatus) bool { return q.Role != "queue" })
	for i, list := range [...]int{len(exchanges), len(queues), len(t.Routes)} {
		g.Cut = g.Cut || list > graphLimit && i >= 0
	}
	exchanges, queues = exchanges[:min(len(exchanges), graphLimit)], queues[:min(len(queues), graphLimit)]
	slices.SortStableFunc(queues, func(a, b QueueStatus) int {
		return cmp.Compare(firstOf(t.Bindings, exchanges, a.Name), firstOf(t.Bindings, exchanges, b.Name))
	})
	routes := slices.Clone(t.Routes)
	slices.SortStableFunc(routes, func(a, b Route) int { return cmp.Compare(indexOf(queues, a.Queue), indexOf(queues, b.Queue)) })
	routes = routes[:min(len(routes), graphLimit)]
	for i, name := range exchanges {
		g.add(0, i, "exchange", name, "exchange")
	}
	for i := range queues {
		q := &queues[i]
		class, note := "queue", fmt.Sprintf("%s, %d consumers", messages(q.Messages), q.Consumers)
		switch {
		case q.Missing:
			class, note = "queue bad", "missing on the broker"
		case q.Consumers == 0 && q.Messages > 0:
			class = "queue bad"
		case q.Consumers == 1:
			note = messages(q.Messages) + ", 1 consumer"
		}
		g.add(1, i, class, q.Name, note)
	}
	for i := range routes {
		r := &routes[i]
		class := "handler"
		if r.Problem != "" {
			class = "handler bad"
		}
		g.add(2, i, class, cmp.Or(r.Exchange, "any")+" "+r.Pattern, r.Handler)
	}
	for _, b := range t.Bindings {
		g.connect(0, slices.Index(exchanges, b.Exchange), 1, indexOf(queues, b.Queue), cmp.Or(b.RoutingKey, "#"), "edge")
	}
	for i := range routes {
		class := "edge"
		if routes[i].Problem != "" {
			class = "edge bad"
		}
		g.connect(1, indexOf(queues, routes[i].Queue), 2, i, "", class)
	}
	g.Height += 4
	return g
}

func indexOf(queues []QueueStatus, name string) int {
	return slices.IndexFunc(queues, func(q QueueStatus) bool { return q.Name == name })
}

// firstOf returns the index of the first exchange that is bound to a queue.
func firstOf(bindings []parley.Binding, exchanges []string, queue string) int {
	first := len(exchanges)
	for _, b := range bindings {
		if i := slices.Index(exchanges, b.Exchange); b.Queue == queue && i >= 0 {
			first = min(first, i)
		}
	}
	return first
}

func (g *graph) add(column, row int, class, label, note string) {
	x, y := 2+column*(boxWidth+columnGap), 2+row*(boxHeight+rowGap)
	g.Boxes = append(g.Boxes, box{x, y, boxWidth, boxHeight, class, cutText(label, 28), cutText(note, 34), x + 10, y + 17, y + 32})
	g.Height = max(g.Height, y+boxHeight)
}

func (g *graph) connect(fromColumn, from, toColumn, to int, label, class string) {
	if from < 0 || to < 0 {
		return
	}
	x1, y1 := 2+fromColumn*(boxWidth+columnGap)+boxWidth, 2+from*(boxHeight+rowGap)+boxHeight/2
	x2, y2 := 2+toColumn*(boxWidth+columnGap), 2+to*(boxHeight+rowGap)+boxHeight/2
	bend := columnGap / 2
	g.Curves = append(g.Curves, curve{fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2), class, cutText(label, 16), (x1 + x2) / 2, (y1+y2)/2 - 4})
}

// cutText shortens a text to a number of characters.
func cutText(s string, limit int) string {
	runes := []rune(printable(s))
	if len(runes) <= limit {
		return string(runes)
	}
	return string(runes[:limit-1]) + "…"
}
