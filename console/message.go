package console

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// messageView is the data of one message.
type messageView struct {
	Item     *item
	Place    string
	Headers  []header
	Body     string
	Cut      bool
	Editable bool
	Expires  string
	Command  string // shows the same on a terminal
}

type header struct{ Name, Value string }

// one returns the message of the path.
func (q *request) one() (place, *item, error) {
	id := q.r.PathValue("id")
	if numberOf('c', id) == 0 && numberOf('o', id) == 0 {
		return nil, nil, noMessage(id)
	}
	p, err := q.src.placeOf(id[:1])
	if err != nil {
		return nil, nil, err
	}
	items, err := p.load(q.r.Context(), []string{id})
	if err != nil {
		return nil, nil, err
	}
	if len(items) == 0 {
		return nil, nil, noMessage(id)
	}
	return p, items[0], nil
}

func noMessage(id string) error {
	return &problem{http.StatusNotFound, fmt.Sprintf("There is no parked or waiting message %s.", printable(parley.CleanText(id, 100))), "it may have been handled, replayed or dropped meanwhile"}
}

func (c *Console) parkedMessage(q *request) error {
	p, it, err := q.one()
	if err != nil {
		return err
	}
	v := &messageView{Item: it, Place: it.ID[:1], Command: q.src.Command + " parked show " + it.ID}
	if q.user.May(RolePayloads) {
		if err := p.fill(q.r.Context(), it); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(it.Message.Headers)) {
			v.Headers = append(v.Headers, header{printable(name), printable(fmt.Sprint(it.Message.Headers[name]))})
		}
		v.Body, v.Cut = bodyText(it.Message.Body)
		v.Editable = editable(it)
		if at := parley.ExpiryOf(&it.Message); !at.IsZero() {
			v.Expires = c.at(at)
		}
	}
	return q.show(http.StatusOK, "message.html", view{Title: "Message " + it.ID, Tab: "parked", Data: v})
}

// download sends a body as a file, never as something that a browser would show.
func (c *Console) download(q *request) error {
	p, it, err := q.one()
	if err == nil {
		err = p.fill(q.r.Context(), it)
	}
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", q.src.Name+"-"+it.ID+".bin"))
	_, _ = q.w.Write(it.Message.Body) // the client may have disconnected
	return nil
}

// A hit is a place where a message with an id was found.
type hit struct {
	Source *source
	Item   *item
}

// findLimit is the most messages that a search shows for each source.
const findLimit = 20

// find shows where a message id is: a link for alerts and logs.
func (c *Console) find(q *request) error {
	id := q.r.PathValue("id")
	if id == "" {
		id = q.get("id")
	}
	data := map[string]any{"ID": id}
	if id != "" {
		hits, notes := c.search(q, id)
		data["Hits"], data["Notes"] = hits, notes
	}
	return q.show(http.StatusOK, "find.html", view{Title: "Find a message", Tab: "find", Data: data})
}

func (c *Console) search(q *request, id string) (hits []hit, notes []string) {
	for _, s := range c.sources {
		found, err := s.search(q, id)
		if err != nil {
			notes = append(notes, s.Name+": "+s.redact(err).Error())
		}
		hits = append(hits, found...)
	}
	return hits, notes
}

func (s *source) search(q *request, id string) (hits []hit, err error) {
	for _, name := range [...]string{"c", "o"} {
		if p, err := s.placeOf(name); err == nil && numberOf(name[0], id) > 0 { // an id of the commands
			items, err := p.load(q.r.Context(), []string{id})
			if err != nil {
				return hits, err
			}
			for _, it := range items {
				hits = append(hits, hit{s, it})
			}
		}
	}
	if s.Failures == nil || strings.ContainsRune(id, 0) {
		return hits, nil
	}
	rows, err := s.Failures.List(q.r.Context(), parley.FailureQuery{Identity: parley.Identity(&parley.Message{ID: id})}, 0, findLimit)
	for i := range rows {
		hits = append(hits, hit{s, failures{s.Failures}.item(&rows[i])})
	}
	return hits, err
}
