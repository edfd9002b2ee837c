package console

import (
	"cmp"
	"context"
	"html/template"
	"net/http"

	"github.com/parley-go/parley"
)

// queuesView is the data of the page of queues and routes.
type queuesView struct {
	Missing  bool
	Topology *Topology
	Graph    template.HTML
	Cut      bool
	Control  bool
	Pauses   []parley.Pause
	Bindings []parley.Binding
}

func (c *Console) queues(q *request) error {
	v := &queuesView{Missing: q.src.Topology == nil}
	if !v.Missing {
		ctx, cancel := context.WithTimeout(q.r.Context(), readTimeout)
		defer cancel()
		t, err := q.src.Source.Topology(ctx)
		if err != nil {
			return err
		}
		v.Topology = t
		v.Graph, v.Cut = graph(t)
		for _, b := range t.Bindings {
			b.RoutingKey = cmp.Or(b.RoutingKey, "#")
			v.Bindings = append(v.Bindings, b)
		}
	}
	if v.Control = q.src.Control != nil; v.Control {
		var err error
		if v.Pauses, err = q.src.Control.Pauses(q.r.Context()); err != nil {
			return err
		}
	}
	return q.show(http.StatusOK, "queues.html", view{Title: "Queues and routes", Tab: "queues", Refresh: refreshSeconds, Data: v})
}
