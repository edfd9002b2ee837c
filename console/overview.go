package console

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// overviewOf is what the first page shows of one source.
type overviewOf struct {
	Source *source
	Status *Status
	Err    string
	Charts []chart
}

// Class returns the style of the verdict.
func (o *overviewOf) Class() string {
	if o.Status == nil {
		return "unknown"
	}
	return o.Status.Verdict()
}

// refreshSeconds is how often the script reads a page again. It stops while the page is hidden.
const refreshSeconds = 10

// overview shows the verdict of each service, and of one service all numbers.
func (c *Console) overview(q *request) error {
	out := make([]overviewOf, len(c.sources))
	var wg sync.WaitGroup
	for i, s := range c.sources {
		wg.Go(func() { out[i] = c.overviewOf(q, s) })
	}
	wg.Wait()
	return q.show(http.StatusOK, "overview.html", view{Title: "Overview", Tab: "overview", Refresh: refreshSeconds, Data: out})
}

func (c *Console) overviewOf(q *request, s *source) overviewOf {
	out := overviewOf{Source: s}
	if s.Status == nil {
		out.Err = "this source has no status"
		return out
	}
	st, err := s.status.read(q.r.Context(), c.now, s.Source.Status)
	if err != nil {
		out.Err = s.redact(err).Error()
		return out
	}
	out.Status = st
	for _, draw := range [...]func(time.Time) (chart, bool){s.throughput, s.lag, s.lagByExchange} {
		if one, ok := draw(c.now()); ok {
			out.Charts = append(out.Charts, one)
		}
	}
	return out
}

// dueLimit is the most records that the page Outbox reads.
const dueLimit = 1000

// dueGroup is the due records of one exchange and routing key.
type dueGroup struct {
	Exchange, RoutingKey string
	Count                Count
	Oldest               time.Duration
}

// outbox shows what is due, by exchange and routing key. It reads the first records only.
func (c *Console) outbox(q *request) error {
	data := map[string]any{"Missing": q.src.Outbox == nil, "Limit": dueLimit}
	if st := q.src.Source.Status; st != nil {
		if got, err := q.src.status.read(q.r.Context(), c.now, st); err == nil {
			data["Relay"] = got.Relay
		}
	}
	if q.src.Outbox != nil {
		list, err := q.src.Outbox.Due(q.r.Context(), dueLimit)
		if err != nil {
			return err
		}
		var groups []*dueGroup
		at := map[string]*dueGroup{}
		for i := range list {
			r := &list[i]
			key := strings.Join([]string{r.Exchange, r.RoutingKey}, "\x00")
			g := at[key]
			if g == nil {
				g = &dueGroup{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Count: Count{AtLeast: len(list) == dueLimit}}
				at[key], groups = g, append(groups, g)
			}
			g.Count.N++
			due := r.DueAt
			if due.IsZero() { // due at once
				due = r.CreatedAt
			}
			if !due.IsZero() {
				g.Oldest = max(g.Oldest, c.now().Sub(due))
			}
		}
		data["Groups"] = groups
		data["Capped"] = len(list) == dueLimit
	}
	var lags []chart
	for _, draw := range [...]func(time.Time) (chart, bool){q.src.lag, q.src.lagByExchange} {
		if one, ok := draw(c.now()); ok {
			lags = append(lags, one)
		}
	}
	data["Lags"] = lags
	return q.show(http.StatusOK, "outbox.html", view{Title: "Outbox", Tab: "outbox", Refresh: refreshSeconds, Data: data})
}
