package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// scheduledLimit is the most scheduled messages that a page lists, and that one confirmation changes.
const scheduledLimit = 500

// scheduledScan is how many messages are compared with a filter for which stores have no index, the soonest first.
const scheduledScan = 1000

// scheduledView is the data of the list, and of the preview of a change.
type scheduledView struct {
	Missing              bool
	ID                   int64 // one record; 0 means those of exchange, routing key and tags
	Exchange, RoutingKey string
	Tags                 string // name=value, one per line
	List                 []scheduledItem
	Capped               bool
	Searched             bool // only the first messages were compared with the filter
	Changeable           bool // the selection names an exchange, a routing key and a tag
	Action, To           string
	Due                  time.Time
	Hash, Command        string
}

type scheduledItem struct {
	parley.Record
	TagText string
	Select  string // the query that selects messages like this one
}

// selection reads the filter of the page.
func (q *request) selection() (*scheduledView, parley.Selection, error) {
	v := &scheduledView{Exchange: q.get("exchange"), RoutingKey: q.get("routing_key"), Tags: q.get("tags")}
	sel := parley.Selection{Exchange: v.Exchange, RoutingKey: v.RoutingKey, Tags: map[string]string{}}
	for line := range strings.Lines(v.Tags) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" {
			return nil, sel, &problem{http.StatusBadRequest, fmt.Sprintf("The tag %q is not name=value.", printable(parley.CleanText(line, 80))), ""}
		}
		sel.Tags[name] = value
	}
	if (v.Exchange == "") != (v.RoutingKey == "") {
		return nil, sel, &problem{http.StatusBadRequest, "Exchange and routing key are given together or not at all.", ""}
	}
	if text := q.get("record"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < 1 {
			return nil, sel, &problem{http.StatusBadRequest, fmt.Sprintf("%q is not the number of a record.", printable(parley.CleanText(text, 40))), ""}
		}
		v.ID, sel.ID = id, id
	}
	v.Changeable = v.ID > 0 || v.Exchange != "" && len(sel.Tags) > 0
	return v, sel, nil
}

func (v *scheduledView) fill(list []parley.Record) {
	v.Capped = len(list) >= scheduledLimit
	for i := range list {
		r := list[i]
		query := url.Values{"exchange": {r.Exchange}, "routing_key": {r.RoutingKey}, "tags": {tagLines(r.Tags)}}
		v.List = append(v.List, scheduledItem{r, tagLines(r.Tags), query.Encode()})
	}
}

func tagLines(tags map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, name+"="+tags[name])
	}
	return strings.Join(out, "\n")
}

func (c *Console) scheduled(q *request) error {
	v, sel, err := q.selection()
	if err != nil {
		return err
	}
	if v.Missing = q.src.Schedule == nil; !v.Missing {
		list, err := q.scheduledList(v, sel)
		if err != nil {
			return err
		}
		v.fill(list)
	}
	return q.show(http.StatusOK, "scheduled.html", view{Title: "Scheduled", Tab: "scheduled", Data: v})
}

// scheduledList returns the messages of a page. Stores find a message by its number, and by exchange, routing key and tags together. For
// other filters it compares the first messages.
func (q *request) scheduledList(v *scheduledView, sel parley.Selection) ([]parley.Record, error) {
	if v.Changeable || v.Exchange == "" && len(sel.Tags) == 0 {
		return q.src.Schedule.Scheduled(q.r.Context(), sel, scheduledLimit)
	}
	list, err := q.src.Schedule.Scheduled(q.r.Context(), parley.Selection{}, scheduledScan)
	v.Searched = len(list) == scheduledScan
	list = slices.DeleteFunc(list, func(r parley.Record) bool {
		if v.Exchange != "" && (r.Exchange != v.Exchange || r.RoutingKey != v.RoutingKey) {
			return true
		}
		for name, value := range sel.Tags {
			if got, ok := r.Tags[name]; !ok || got != value {
				return true
			}
		}
		return false
	})
	return list[:min(len(list), scheduledLimit)], err
}

// readScheduled reads a change of scheduled messages. A relative time is resolved by the preview, so that confirm has a fixed one.
func (q *request) readScheduled() (*scheduledView, parley.Selection, error) {
	v, sel, err := q.selection()
	if err != nil {
		return nil, sel, err
	}
	if q.src.Schedule == nil || !v.Changeable {
		return nil, sel, &problem{http.StatusBadRequest, "A change needs a record, or an exchange, a routing key and at least one tag.", "select the messages first"}
	}
	switch v.Action, v.To = q.get("action"), q.get("to"); v.Action {
	case "cancel":
	case "move":
		if v.Due, err = parseTime(v.To, q.c.now()); err != nil {
			return nil, sel, err
		}
		v.To = v.Due.Format(time.RFC3339Nano)
	default:
		return nil, sel, &problem{http.StatusBadRequest, "The form names no action.", ""}
	}
	args := []string{q.src.Command, "scheduled", map[string]string{"cancel": "cancel", "move": "reschedule"}[v.Action]}
	if v.ID > 0 {
		args = append(args, fmt.Sprint(v.ID))
	} else {
		args = append(args, "--exchange", v.Exchange, "--routing-key", v.RoutingKey)
	}
	for _, name := range slices.Sorted(maps.Keys(sel.Tags)) {
		args = append(args, "--tag", name+"="+sel.Tags[name])
	}
	if v.Action == "move" {
		args = append(args, "--to", v.To)
	}
	v.Command = commandLine(args...)
	return v, sel, nil
}

// parseTime reads a time with its zone, or +1h30m from now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ahead, ok := strings.CutPrefix(text, "+"); ok {
		if d, err := time.ParseDuration(ahead); err == nil && d >= 0 {
			return now.Add(d).UTC().Truncate(time.Second), nil
		}
	} else if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil && t.Year() > 1 && t.Year() < 9999 {
		return t.UTC(), nil
	}
	return time.Time{}, &problem{http.StatusBadRequest, fmt.Sprintf("%q is neither a time such as 2030-01-31T08:00:00Z nor +1h30m.", printable(parley.CleanText(text, 80))), ""}
}

func (v *scheduledView) hash(list []parley.Record) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q %d\n", v.Action, v.To, v.Exchange, v.RoutingKey, v.Tags, v.ID)
	slices.SortFunc(list, func(a, b parley.Record) int { return int(min(1, max(-1, a.ID-b.ID))) })
	for i := range list {
		fmt.Fprintln(h, list[i].ID, list[i].DueAt.UnixMicro())
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Console) previewScheduled(q *request) error {
	v, sel, err := q.readScheduled()
	if err != nil {
		return err
	}
	list, err := q.src.Schedule.Scheduled(q.r.Context(), sel, scheduledLimit)
	if err != nil {
		return err
	}
	v.fill(list)
	if v.Capped {
		return &problem{http.StatusBadRequest, fmt.Sprintf("The selection has %d messages or more, the limit of the console.", scheduledLimit), "add a tag, or use the command: " + v.Command}
	}
	v.Hash = v.hash(slices.Clone(list))
	return q.show(http.StatusOK, "scheduled_preview.html", view{Title: "Preview: " + v.Action, Tab: "scheduled", Data: v})
}

func (c *Console) confirmScheduled(q *request) error {
	v, sel, err := q.readScheduled()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(q.acting(), 20*time.Second)
	defer cancel()
	n, err := q.src.Schedule.Change(ctx, sel, v.Due, scheduledLimit, func(list []parley.Record) error {
		if v.hash(list) != q.get("hash") {
			return errChanged
		}
		return nil
	})
	if err == error(errChanged) {
		return err // nothing was done
	}
	target := fmt.Sprintf("%s/%s %s", v.Exchange, v.RoutingKey, strings.ReplaceAll(tagLines(sel.Tags), "\n", " "))
	if sel.ID > 0 {
		target = fmt.Sprint("record ", sel.ID)
	}
	if l, ok := q.src.Schedule.(parley.ScheduleLogger); err == nil && (!ok || !l.LogsSchedule()) {
		err = q.logged(v.Action+"-scheduled", target, n)
	}
	c.log(q, action{What: v.Action, Count: int64(n), Target: target, Command: v.Command}, err)
	if err != nil {
		return err
	}
	text := "Cancelled: " + messages(n) + "."
	if v.Action == "move" {
		text = "Moved to " + c.at(v.Due) + ": " + messages(n) + "."
	}
	return q.done(text, v.Command, q.self("scheduled"))
}
