package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// A filter selects parked messages. It is the query of the page's URL.
type filter struct {
	Place      string
	State      string // parked or waiting
	Consumer   string
	Exchange   string
	RoutingKey string
	Reason     string
	Group      string
	After      string
}

func (q *request) filter() filter {
	f := filter{
		Place: q.get("place"), State: q.get("state"), Consumer: q.get("consumer"), Exchange: q.get("exchange"), RoutingKey: q.get("routing_key"),
		Reason: q.get("reason"), Group: q.get("group"), After: q.get("after"),
	}
	if names := q.src.placeNames(); f.Place == "" && len(names) > 0 {
		f.Place = names[0]
	}
	if f.State != "waiting" || f.Place != "c" {
		f.State = "parked"
	}
	return f
}

// Query returns the filter as the query of a URL. after replaces After.
func (f filter) Query(after string) string {
	v := url.Values{}
	for _, p := range f.pairs() {
		if p[1] != "" {
			v.Set(p[0], p[1])
		}
	}
	if after != "" {
		v.Set("after", after)
	}
	return v.Encode()
}

func (f filter) pairs() [][2]string {
	return [][2]string{
		{"place", f.Place}, {"state", f.State}, {"consumer", f.Consumer}, {"exchange", f.Exchange}, {"routing_key", f.RoutingKey}, {"reason", f.Reason}, {"group", f.Group},
	}
}

// Hidden returns the filter as fields of a form.
func (f filter) Hidden() [][2]string { return f.pairs() }

// Narrow reports whether the filter selects less than all messages of its place and its consumer, so that the groups of all say nothing
// about the list.
func (f filter) Narrow() bool {
	return f.Exchange != "" || f.RoutingKey != "" || f.Reason != "" || f.Group != ""
}

// takes reports whether the filter selects an item.
func (f filter) takes(it *item) bool {
	return matches(f.Exchange, it.Message.Exchange) && matches(f.RoutingKey, it.Message.RoutingKey) && strings.Contains(it.Reason, f.Reason) &&
		(f.Consumer == "" || it.Consumer == "" || f.Consumer == it.Consumer)
}

// check returns an error if a pattern of the filter cannot be read.
func (f filter) check() error {
	for _, pattern := range [...]string{f.Exchange, f.RoutingKey} {
		if _, err := path.Match(pattern, ""); err != nil {
			return &problem{http.StatusBadRequest, "The pattern " + printable(pattern) + " cannot be read.", "use * for any text and ? for one character"}
		}
	}
	return nil
}

// matches reports whether a name matches a pattern with * and ?. It replaces slashes, because in path.Match a wildcard does not match
// them.
func matches(pattern, name string) bool {
	ok, _ := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return pattern == "" || ok
}

// parkedView is the data of the list.
type parkedView struct {
	Filter    filter
	Places    []tab
	Consumers []string
	Groups    []parley.FailureGroup
	MoreOf    int // the number of groups if there may be more
	Items     []*item
	Next      string
	Queue     bool // a parked queue, which is read only when the user asks
	Looked    bool
	Depth     int  // of the parked queue; -1 if not known
	Can       bool // whether there is a place at all
}

// A tab is a link to a place.
type tab struct {
	Name, Label string
	Active      bool
}

func (q *request) parkedView() (*parkedView, error) {
	v := &parkedView{Filter: q.filter(), Depth: -1}
	for _, name := range q.src.placeNames() {
		label := map[string]string{"c": "Deliveries", "o": "Outbox"}[name]
		if queue, ok := strings.CutPrefix(name, "q:"); ok {
			label = parley.ParkedQueue(queue)
		}
		v.Places = append(v.Places, tab{name, label, name == v.Filter.Place})
		v.Can = true
	}
	v.Queue = strings.HasPrefix(v.Filter.Place, "q:")
	return v, v.Filter.check()
}

// queueCounter is a broker that counts the messages of a queue.
type queueCounter interface {
	QueueLen(ctx context.Context, name string) (messages, consumers int, err error)
}

// depth returns the number of messages in a queue, 0 if the queue does not exist, and -1 if that cannot be determined.
func (q *request) depth(queue string) int {
	counter, ok := q.src.Broker.(queueCounter)
	if !ok {
		return -1
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), readTimeout)
	defer cancel()
	n, _, err := counter.QueueLen(ctx, queue)
	if refused, ok := errors.AsType[*parley.TopologyError](err); ok && refused.Code == 404 {
		return 0
	}
	if err != nil {
		return -1
	}
	return n
}

func (c *Console) parkedList(q *request) error {
	v, err := q.parkedView()
	if err != nil {
		return err
	}
	if !v.Can {
		return q.showParked(v)
	}
	p, err := q.src.placeOf(v.Filter.Place)
	if err != nil {
		return err
	}
	if v.Queue {
		v.Depth = q.depth(parley.ParkedQueue(strings.TrimPrefix(v.Filter.Place, "q:")))
		return q.showParked(v)
	}
	if v.Items, v.Next, err = p.list(q.r.Context(), &v.Filter, pageSize); err != nil {
		return err
	}
	if v.Filter.Place == "c" {
		if v.Consumers, err = q.src.Failures.Consumers(q.r.Context()); err != nil {
			return err
		}
	}
	if v.Filter.Place == "c" && q.src.Groups != nil && v.Filter.State == "parked" && !v.Filter.Narrow() && v.Filter.After == "" {
		groups, err := q.src.Groups.FailureGroups(q.r.Context(), v.Filter.Consumer, groupLimit)
		if err != nil {
			return err
		}
		slices.SortStableFunc(groups, func(a, b parley.FailureGroup) int { return cmp.Compare(b.Count, a.Count) })
		if v.Groups = groups; len(groups) == groupLimit {
			v.MoreOf = groupLimit
		}
	}
	return q.showParked(v)
}

// groupLimit is the most groups that the page lists.
const groupLimit = 25

// lookQueue shows the messages of a parked queue.
func (c *Console) lookQueue(q *request) error {
	v, err := q.parkedView()
	if err != nil {
		return err
	}
	p, err := q.src.placeOf(v.Filter.Place)
	if err != nil {
		return err
	}
	v.Looked = true
	if v.Items, v.Next, err = p.list(q.r.Context(), &v.Filter, lookLimit); err != nil {
		return err
	}
	return q.showParked(v)
}

func (q *request) showParked(v *parkedView) error {
	return q.show(http.StatusOK, "parked.html", view{Title: cmp.Or(map[string]string{"waiting": "Waiting for a retry"}[v.Filter.State], "Parked"), Tab: "parked", Data: v})
}
