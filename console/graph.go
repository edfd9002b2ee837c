package console

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"

	"github.com/parley-go/parley/internal/diagram"
)

// graphLimit is the most boxes of a column.
const graphLimit = 60

// graph draws the way of messages from exchanges through queues to handlers. cut reports whether it leaves some out.
func graph(t *Topology) (svg template.HTML, cut bool) {
	g := &diagram.Graph{Title: "Queues and routes", Description: "Exchanges, queues and handlers from left to right. The tables below have the same content."}
	count := map[int]int{}
	add := func(column int, id, label, detail string, shape diagram.Shape) {
		if slices.ContainsFunc(g.Nodes, func(n diagram.Node) bool { return n.ID == id }) {
			return
		}
		if count[column]++; count[column] > graphLimit {
			cut = true
			return
		}
		g.Nodes = append(g.Nodes, diagram.Node{ID: id, Label: cutText(label, 40), Detail: cutText(detail, 48), Column: column, Shape: shape})
	}
	for i := range t.Queues {
		if q := &t.Queues[i]; q.Role == "queue" {
			add(1, "q"+q.Name, q.Name, q.Detail(), diagram.Box)
		}
	}
	for _, b := range t.Bindings {
		add(0, "e"+b.Exchange, b.Exchange, "", diagram.Pill)
		g.Edges = append(g.Edges, diagram.Edge{From: "e" + b.Exchange, To: "q" + b.Queue, Label: cutText(cmp.Or(b.RoutingKey, "#"), 24)})
	}
	for i := range t.Routes {
		r := &t.Routes[i]
		id := fmt.Sprint("h", i)
		add(2, id, cmp.Or(r.Exchange, "any exchange")+" "+r.Pattern, cmp.Or(r.Problem, r.Handler), diagram.Round)
		g.Edges = append(g.Edges, diagram.Edge{From: "q" + r.Queue, To: id, Dashed: r.Problem != ""})
	}
	if len(g.Nodes) == 0 {
		return "", false
	}
	return template.HTML(g.SVG(&diagram.SVGOptions{Inline: true, ID: "routes"})), cut // package diagram escapes every text
}

// Detail says how full a queue is, and whether something takes its messages.
func (q *QueueStatus) Detail() string {
	if q.Missing {
		return "missing on the broker"
	}
	consumers := fmt.Sprintf("%d consumers", q.Consumers)
	if q.Consumers == 1 {
		consumers = "1 consumer"
	}
	return messages(q.Messages) + ", " + consumers
}

// cutText shortens a text to a number of characters.
func cutText(s string, limit int) string {
	runes := []rune(printable(s))
	if len(runes) <= limit {
		return string(runes)
	}
	return string(runes[:limit-1]) + "…"
}
