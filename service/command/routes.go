package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/diagram"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) routesCommand() *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use: "routes", Short: "list the handlers with their routes and bindings, or draw them", Args: NoArgs,
		Long: `Lists the handlers with their routes, and the bindings that route messages to them. A handler that no binding feeds is listed
with the line to add to the settings. It does not connect to the broker.

-o mermaid, -o dot and -o svg draw the way from exchanges over bindings and queues to the handlers.`,
		Example: "  shop routes -o svg > routes.svg\n  shop routes -o dot | dot -Tpng > routes.png",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.withHandlers(cmd, nil, func(_ context.Context, s *service.Service) error {
				return printRoutes(cmd.OutOrStdout(), &o, s)
			})
		},
	}
	o.Add(c, "mermaid", "dot", "svg")
	return c
}

func printRoutes(out io.Writer, o *output.Options, s *service.Service) error {
	g := routeGraph(s)
	text := ""
	switch o.Format() {
	case "mermaid":
		text = g.Mermaid()
	case "dot":
		text = g.DOT()
	case "svg":
		text = g.SVG(nil)
	default:
		return listRoutes(out, o, s)
	}
	_, err := io.WriteString(out, text)
	return err
}

// listRoutes prints a line for each handler. The column of the queue is left out if there is one queue.
func listRoutes(out io.Writer, o *output.Options, s *service.Service) error {
	columns := output.Columns("QUEUE", "EXCHANGE", "ROUTING KEY", "HANDLER", "BOUND BY")
	queues := s.Queues()
	columns[0].Wide = len(queues) < 2
	list := o.List(out, columns...)
	var errs []error
	add := func(queue string, r *parley.Route, fed, hint string) {
		errs = append(errs, list.Add(object{"queue": queue, "exchange": r.Exchange, "routing_key": r.Pattern, "handler": r.Place, "bound_by": fed, "hint": hint},
			cmp.Or(queue, "-"), r.Exchange, r.Pattern, r.Place, cmp.Or(fed, hint)))
	}
	unbound := s.Unbound()
	for _, q := range queues {
		for _, r := range q.Router.Routes() {
			fed, hint := fedBy(q, &r, unbound)
			add(q.Name, &r, fed, hint)
		}
	}
	if len(queues) == 0 {
		for _, r := range s.Router.Routes() {
			add("", &r, "", "no queue: set queue")
		}
	}
	return errors.Join(append(errs, list.Close())...)
}

// fedBy returns the bindings that can route messages to a route, or what to add to the settings.
func fedBy(q *service.Queue, r *parley.Route, unbound []service.Unbound) (fed, hint string) {
	for i := range unbound {
		if u := &unbound[i]; u.Queue == q.Name && u.Exchange == r.Exchange && u.Pattern == r.Pattern && u.Place == r.Place {
			return "", "not bound: " + u.Hint()
		}
	}
	var all []string
	for _, b := range q.FedBy(r) {
		all = append(all, b.Exchange+":"+cmp.Or(b.RoutingKey, "#"))
	}
	return strings.Join(all, ", "), ""
}

// The columns of the graph of routes.
const (
	exchangeColumn = iota
	queueColumn
	handlerColumn
)

// routeGraph returns the way of messages from exchanges over bindings and queues to handlers.
func routeGraph(s *service.Service) *diagram.Graph {
	g := &diagram.Graph{Title: "Routes of " + cmp.Or(s.Settings.AppID, "this service")}
	exchanges := map[string]bool{}
	unbound := s.Unbound()
	handlers := 0
	for _, q := range s.Queues() {
		g.Nodes = append(g.Nodes, diagram.Node{ID: "queue " + q.Name, Label: q.Name, Detail: "queue", Column: queueColumn})
		for _, b := range joined(q.Topology().Bindings) {
			if !exchanges[b.Exchange] {
				exchanges[b.Exchange] = true
				g.Nodes = append(g.Nodes, diagram.Node{ID: "exchange " + b.Exchange, Label: b.Exchange, Detail: exchangeType(s, b.Exchange), Column: exchangeColumn, Shape: diagram.Round})
			}
			g.Edges = append(g.Edges, diagram.Edge{From: "exchange " + b.Exchange, To: "queue " + q.Name, Label: b.RoutingKey})
		}
		for _, r := range q.Router.Routes() {
			id := fmt.Sprintf("handler %d", handlers)
			handlers++
			g.Nodes = append(g.Nodes, diagram.Node{ID: id, Label: terminal.Printable(r.Exchange + " " + cmp.Or(r.Pattern, "#")), Detail: path.Base(r.Place), Column: handlerColumn, Shape: diagram.Pill})
			edge := diagram.Edge{From: "queue " + q.Name, To: id}
			if _, hint := fedBy(q, &r, unbound); hint != "" {
				edge.Label, edge.Dashed = "not bound", true
			}
			g.Edges = append(g.Edges, edge)
		}
	}
	g.Description = fmt.Sprintf("%s, %s, %s", plural(len(exchanges), "exchange"), plural(len(s.Queues()), "queue"), plural(handlers, "handler"))
	return g
}

func exchangeType(s *service.Service, name string) string {
	for _, e := range s.Topology().Exchanges {
		if e.Name == name {
			return cmp.Or(string(e.Type), "topic")
		}
	}
	return "exchange"
}

// joined returns one binding for each exchange, with all routing keys.
func joined(bindings []parley.Binding) (out []parley.Binding) {
	at := map[string]int{}
	for _, b := range bindings {
		key := cmp.Or(b.RoutingKey, "#")
		if i, ok := at[b.Exchange]; ok {
			out[i].RoutingKey += ", " + key
			continue
		}
		at[b.Exchange] = len(out)
		out = append(out, parley.Binding{Exchange: b.Exchange, RoutingKey: key})
	}
	return out
}
