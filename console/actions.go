package console

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Action is a change that a user has confirmed.
type Action struct {
	At     time.Time
	User   string
	Source string
	// What is replay, drop, edit, cancel, move, pause or resume.
	What string
	// Target says what was changed, such as the first ids.
	Target string
	// Count is the number of messages.
	Count int
	// Command is the command that does the same.
	Command string
	// Before and After are the bodies of an edit.
	Before, After string
	// Err is the error that ended the change, or "".
	Err string
}

// An ActionLog is a lasting log of changes, of commands and consoles alike.
type ActionLog interface {
	// Record appends an action.
	Record(ctx context.Context, a Action) error
	// Actions returns the last actions, the newest first: at most limit.
	Actions(ctx context.Context, limit int) ([]Action, error)
}

const (
	actionsKept  = 200
	actionsShown = 200
)

// actionRing keeps the last actions of the console.
type actionRing struct {
	mu   sync.Mutex // guards the field below
	list []Action
}

func (r *actionRing) add(a Action) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Before, a.After = "", "" // bodies stay out of memory
	r.list = append(r.list, a)
	if len(r.list) > actionsKept {
		r.list = slices.Delete(r.list, 0, len(r.list)-actionsKept)
	}
}

// newest returns the actions, newest first.
func (r *actionRing) newest() []Action {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.list)
	slices.Reverse(out)
	return out
}

// log writes a change to the logger, to the memory and to the lasting log of its source. The logger never gets bodies.
func (c *Console) log(q *request, a Action, err error) {
	a.At, a.User, a.Source = c.now().UTC(), q.user.Name, q.src.Name
	level := slog.LevelInfo
	if err != nil {
		a.Err, level = q.src.redact(err).Error(), slog.LevelWarn
	}
	c.opts.Logger.Log(q.r.Context(), level, "console: change confirmed", "user", a.User, "source", a.Source, "action", a.What, "target", a.Target, "count", a.Count, "err", a.Err)
	c.actions.add(a)
	if q.src.Actions == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.r.Context()), readTimeout)
	defer cancel()
	if err := q.src.Actions.Record(ctx, a); err != nil {
		c.opts.Logger.Error("console: writing the log of actions failed", "source", a.Source, "err", q.src.redact(err))
	}
}

// actionLog shows the last changes of all sources.
func (c *Console) actionLog(q *request) error {
	data := map[string]any{}
	list := c.actions.newest()
	var notes []string
	lasting := false
	for _, s := range c.sources {
		if s.Actions == nil {
			continue
		}
		got, err := s.Actions.Actions(q.r.Context(), actionsShown)
		if err != nil {
			notes = append(notes, s.Name+": "+s.redact(err).Error())
			continue
		}
		lasting = true
		list = slices.DeleteFunc(list, func(a Action) bool { return a.Source == s.Name })
		for i := range got {
			got[i].Source = s.Name
		}
		list = append(list, got...)
	}
	slices.SortStableFunc(list, func(a, b Action) int { return b.At.Compare(a.At) })
	data["List"], data["Notes"], data["Lasting"] = list[:min(len(list), actionsShown)], notes, lasting
	return q.show(http.StatusOK, "actions.html", view{Title: "Log of actions", Tab: "actions", Data: data})
}
