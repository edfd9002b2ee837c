package console

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// An action is a change that a user has confirmed.
type action struct {
	At                     time.Time
	User, Source, What     string
	Target, Command, State string
	Count                  int64
	Err                    string
}

const (
	actionsKept  = 200
	actionsShown = 200
)

// actionRing keeps the last actions of the console, for sources without a lasting log.
type actionRing struct {
	mu   sync.Mutex // guards the field below
	list []action
}

func (r *actionRing) add(a action) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, a)
	if len(r.list) > actionsKept {
		r.list = slices.Delete(r.list, 0, len(r.list)-actionsKept)
	}
}

// newest returns the actions, newest first.
func (r *actionRing) newest() []action {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.list)
	slices.Reverse(out)
	return out
}

// acting returns the context of a change. With a lasting log the store writes the entry in the transaction of the change itself.
func (q *request) acting() context.Context {
	if q.src.Actions == nil {
		return q.r.Context()
	}
	return parley.WithActor(q.r.Context(), parley.Actor{Name: q.user.Name, Host: "console", Reason: q.get("why")})
}

// logged writes the entry of a change that the stores do not log themselves.
func (q *request) logged(name, filter string, n int) error {
	if q.src.Actions == nil {
		return nil
	}
	a := parley.Action{Name: name, Filter: filter, By: q.user.Name, Host: "console", Reason: q.get("why"), Changed: int64(n), State: parley.ActionDone}
	_, err := q.src.Actions.LogAction(context.WithoutCancel(q.r.Context()), a.Clean())
	return err
}

// log writes a change to the logger and to the memory. Neither gets bodies.
func (c *Console) log(q *request, a action, err error) {
	a.At, a.User, a.Source = c.now().UTC(), q.user.Name, q.src.Name
	level := slog.LevelInfo
	if err != nil {
		a.Err, level = q.src.redact(err).Error(), slog.LevelWarn
	}
	c.opts.Logger.Log(q.r.Context(), level, "console: change confirmed", "user", a.User, "source", a.Source, "action", a.What, "target", a.Target, "count", a.Count, "err", a.Err)
	c.actions.add(a)
}

// actionLog shows the last changes of all sources.
func (c *Console) actionLog(q *request) error {
	list := c.actions.newest()
	var notes []string
	lasting := len(c.sources) > 0
	for _, s := range c.sources {
		if s.Actions == nil {
			lasting = false
			continue
		}
		got, err := s.Actions.Actions(q.r.Context(), parley.ActionQuery{Limit: actionsShown})
		if err != nil {
			notes = append(notes, s.Name+": "+s.redact(err).Error())
			lasting = false
			continue
		}
		// Failed changes are not in the lasting log: their transactions were rolled back.
		list = slices.DeleteFunc(list, func(a action) bool { return a.Source == s.Name && a.Err == "" })
		for i := range got {
			a := &got[i]
			state := ""
			if a.State != parley.ActionDone {
				state = a.State + " " + a.Detail
			}
			list = append(list, action{At: a.At, User: a.By, Source: s.Name, What: a.Name, Target: a.Filter, Command: a.Reason, State: state, Count: a.Changed})
		}
	}
	slices.SortStableFunc(list, func(a, b action) int { return b.At.Compare(a.At) })
	data := map[string]any{"List": list[:min(len(list), actionsShown)], "Notes": notes, "Lasting": lasting}
	return q.show(http.StatusOK, "actions.html", view{Title: "Log of actions", Tab: "actions", Data: data})
}
